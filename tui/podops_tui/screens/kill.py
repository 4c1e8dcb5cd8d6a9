"""The question before runs are ended or leave the queue. The answer is No unless the other button is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean


class KillScreen(ModalScreen[bool]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,n", "answer(False)", "No"),
        ("y", "answer(True)", "Yes"),
        ("left,right,tab", "other", "Other button"),
        ("down,j", "scroll(1)", "More"),
        ("up,k", "scroll(-1)", "Less"),
    ]
    CSS = """
    KillScreen { align: center middle; }
    KillScreen #box { width: 72; max-width: 96%; height: auto; max-height: 90%; border: round $error;
        background: $surface; padding: 1 2; }
    KillScreen #names { height: auto; max-height: 12; }
    KillScreen Static { height: auto; }
    KillScreen #how { margin: 1 0; }
    KillScreen Horizontal { height: auto; }
    KillScreen Button { margin-right: 2; }
    """

    def __init__(self, runs: Sequence[RunSnapshot]) -> None:
        super().__init__()
        self._runs = runs

    def compose(self) -> ComposeResult:
        title, how, yes = _words(self._runs)
        box = Vertical(id="box")
        box.border_title = title
        with box:
            yield VerticalScroll(Static(_names(self._runs)), id="names", can_focus=False)
            yield Static(Text(how, "dim"), id="how")
            with Horizontal():
                yield Button("No (n)", id="no", variant="primary")
                yield Button(f"{yes} (y)", id="yes", variant="error")

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_other(self) -> None:
        self.query_one("#yes" if self.query_one("#no").has_focus else "#no").focus()

    def action_scroll(self, by: int) -> None:
        self.query_one("#names").scroll_relative(y=by, animate=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


def _words(runs: Sequence[RunSnapshot]) -> tuple[str, str, str]:
    """The title, what will happen, and the label of the button that does it."""
    count, waiting = len(runs), sum(run.waiting for run in runs)
    these = "this run" if count == 1 else f"these {count} runs"
    signals = "SIGINT, then SIGTERM, then SIGKILL"
    if waiting == count:
        how = "It has not started; it leaves the queue" if count == 1 else "None has started; they leave the queue"
        return f"Cancel {these}?", f"{how} and will not run.", "Cancel the run" if count == 1 else "Cancel them all"
    if waiting:
        how = f"Those that run get {signals}; those that wait leave the queue and will not run."
        return f"End {these}?", how, "End them all"
    how = f"{'It gets' if count == 1 else 'Each gets'} {signals}."
    return f"End {these}?", how, "End the run" if count == 1 else "End them all"


def _names(runs: Sequence[RunSnapshot]) -> Text:
    text = Text()
    for run in runs:
        text.append(clean(run.run_id), "bold").append("\n" if len(runs) == 1 else "  ")
        text.append(f"on pod {clean(run.pod)}, {clean(run.state)}\n")
    text.rstrip()
    return text
