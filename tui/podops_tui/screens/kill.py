"""The question before runs are ended or leave the queue. The answer is No unless the other button is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Static

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.screens.low import LowScreen

#: Below so many columns the button that ends runs has one word.
_NARROW = 40


class KillScreen(LowScreen[bool]):
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
    KillScreen.low #box { max-height: 100%; padding: 0 1; }
    KillScreen #body, KillScreen #names { height: auto; }
    KillScreen Static { height: auto; }
    KillScreen #how { margin: 1 0; }
    KillScreen.low #how { margin: 1 0 0 0; }
    KillScreen Horizontal { height: auto; }
    KillScreen Button { margin-right: 2; }
    KillScreen.low Button, KillScreen.narrow Button { min-width: 0; margin-right: 1; }
    """

    def __init__(self, runs: Sequence[RunSnapshot]) -> None:
        super().__init__()
        self._runs = runs

    def compose(self) -> ComposeResult:
        title, how, yes = _words(self._runs)
        box = Vertical(id="box")
        box.border_title = title
        with box:
            with VerticalScroll(id="body", can_focus=False):
                yield VerticalScroll(Static(_names(self._runs)), id="names", can_focus=False)
                yield Static(Text(how, "dim"), id="how")
            with Horizontal():
                yield Button("No (n)", id="no", variant="primary")
                yield Button(f"{yes} (y)", id="yes", variant="error")

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    def fit(self, width: int, lines: int, low: bool) -> None:
        body = max(0, lines - 1 if low else lines - 5)
        self.query_one("#body").styles.max_height = body
        self.query_one("#names").styles.max_height = max(min(body, 3), min(12, body - 4))
        self.set_class(width < 2 * _NARROW, "narrow")
        yes = _words(self._runs)[2]
        self.query_one("#yes", Button).label = f"{yes if width >= _NARROW else yes.split()[0]} (y)"
        for button in self.query(Button):
            button.compact = low

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_other(self) -> None:
        self.query_one("#yes" if self.query_one("#no").has_focus else "#no").focus()

    def action_scroll(self, by: int) -> None:
        names = self.query_one("#names")
        at_edge = names.scroll_y >= names.max_scroll_y if by > 0 else names.scroll_y <= 0
        (self.query_one("#body") if at_edge else names).scroll_relative(y=by, animate=False)

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
