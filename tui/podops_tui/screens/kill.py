"""The question before a run is ended. The answer is No unless the other button is chosen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean


class KillScreen(ModalScreen[bool]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,n", "answer(False)", "No"),
        ("y", "answer(True)", "Yes"),
        ("left,right", "app.focus_next", "Other button"),
    ]
    CSS = """
    KillScreen { align: center middle; }
    KillScreen #box { width: 68; height: auto; border: round $error; background: $surface; padding: 1 2; }
    KillScreen Static { height: auto; margin-bottom: 1; }
    KillScreen Horizontal { height: auto; }
    KillScreen Button { margin-right: 2; }
    """

    def __init__(self, run: RunSnapshot) -> None:
        super().__init__()
        self._run = run

    def compose(self) -> ComposeResult:
        run = self._run
        box = Vertical(id="box")
        box.border_title = "End this run?"
        with box:
            text = Text.assemble((clean(run.run_id), "bold"), f"\non pod {clean(run.pod)}, {clean(run.state)}")
            yield Static(text.append("\n\nIt gets SIGINT, then SIGTERM, then SIGKILL.", "dim"))
            with Horizontal():
                yield Button("No (n)", id="no", variant="primary")
                yield Button("End the run (y)", id="yes", variant="error")

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
