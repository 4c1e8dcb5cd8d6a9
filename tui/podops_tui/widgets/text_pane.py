"""A framed text that scrolls."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static


class TextPane(VerticalScroll, can_focus=True):
    DEFAULT_CSS = """
    TextPane { border: round $surface-lighten-2; }
    TextPane:focus { border: round $accent; }
    TextPane Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def __init__(self, *, id: str, title: str = "") -> None:
        super().__init__(id=id)
        self._text = Text()
        self.border_title = title

    def compose(self) -> ComposeResult:
        yield Static(self._text)

    def show(self, text: Text) -> None:
        """Show `text`; the same text again costs nothing, and the screen is laid out anew only for another height."""
        if text != self._text or text.spans != self._text.spans:
            inside = self.query_one(Static)
            width = inside.size.width
            rows = _rows(text, width)
            same = rows is not None and rows == _rows(self._text, width)
            self._text = text
            inside.update(text, layout=not same)


def _rows(text: Text, width: int) -> int | None:
    """How many rows the text takes; `None` when a line is too long to tell without wrapping it."""
    lines = text.plain.split("\n")
    return len(lines) if all(cell_len(line) <= width for line in lines) else None
