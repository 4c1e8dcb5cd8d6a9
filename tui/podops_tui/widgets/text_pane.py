"""A framed text that scrolls."""

from __future__ import annotations

from typing import ClassVar

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
            self._text = text
            inside = self.query_one(Static)
            inside.update(text, layout=False)
            width, height = inside.size
            # One that is not displayed is laid out when it is.
            if self.display and (not width or inside.get_content_height(self.size, self.app.size, width) != height):
                inside.refresh(layout=True)
