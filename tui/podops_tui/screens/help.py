"""Every key, from the table the keys themselves are made from."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from podops_tui.actions import available, key_names


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,question_mark", "dismiss", "Close")]
    CSS = """
    HelpScreen { align: center middle; }
    HelpScreen #box { width: 68; height: auto; max-height: 90%; border: round $accent; background: $surface; }
    HelpScreen Static { height: auto; padding: 0 1; }
    """

    def __init__(self, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        box = VerticalScroll(Static(help_text(self._read_only)), id="box")
        box.border_title = "Keys"
        box.border_subtitle = "esc closes"
        yield box


def help_text(read_only: bool) -> Text:
    """One line for each thing that can be done."""
    text = Text()
    for action in available(read_only):
        text.append(f"{key_names(action):>7}  ", "bold").append(action.description + "\n")
    text.append("    j/k  ", "bold").append("Move, as the arrows do\n")
    text.append("    tab  ", "bold").append("Go to the next pane\n")
    text.append(" ctrl+p  ", "bold").append("Search all of these")
    if read_only:
        text.append("\n\nRead-only: nothing here changes a pod.", "yellow")
    return text
