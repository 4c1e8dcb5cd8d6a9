"""Every key, from the table the keys themselves are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from podops_tui.actions import MOVES, Action


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,question_mark", "dismiss", "Close"),
        ("j", "down", "Down"),
        ("k", "up", "Up"),
    ]
    CSS = """
    HelpScreen { align: center middle; }
    HelpScreen #box { width: 72; max-width: 96%; height: auto; max-height: 96%; border: round $accent;
        background: $surface; }
    HelpScreen Static { height: auto; padding: 0 1; }
    """

    def __init__(self, offered: Sequence[Action], read_only: bool) -> None:
        super().__init__()
        self._text = help_text(offered, read_only)

    def compose(self) -> ComposeResult:
        box = VerticalScroll(Static(self._text), id="box")
        box.border_title = "Keys"
        box.border_subtitle = "esc closes · arrows scroll"
        yield box

    def action_down(self) -> None:
        self.query_one("#box").scroll_down(animate=False)

    def action_up(self) -> None:
        self.query_one("#box").scroll_up(animate=False)


def help_text(offered: Sequence[Action], read_only: bool) -> Text:
    """One line for each thing that can be done."""
    text = Text()
    for keys, description in MOVES:
        text.append(f"{keys:>7}  ", "bold").append(description + "\n")
    for action in offered:
        if action.keys:
            text.append(f"{action.shown:>7}  ", "bold").append(action.description + "\n")
    if read_only:
        text.append("\nRead-only: nothing here changes a pod.\n", "yellow")
    text.rstrip()
    return text
