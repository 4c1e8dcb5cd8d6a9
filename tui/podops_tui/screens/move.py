"""The question where waiting runs shall go. Nothing moves unless a pod is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from podops.config.model import ProjectConfig
from podops.fleet.snapshot import FleetSnapshot, RunSnapshot
from podops_tui.ansi import clean
from podops_tui.screens.low import LowScreen
from podops_tui.submission import room


class MoveScreen(LowScreen[str | None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q", "dismiss", "Cancel")]
    CSS = """
    MoveScreen { align: center middle; }
    MoveScreen #box { width: 72; max-width: 96%; height: auto; max-height: 90%; border: round $accent;
        background: $surface; padding: 0 1; }
    MoveScreen.low #box { max-height: 100%; }
    MoveScreen #names { height: auto; margin-bottom: 1; }
    MoveScreen.low #names { margin-bottom: 0; }
    MoveScreen Static { height: auto; }
    MoveScreen OptionList { height: auto; border: none; padding: 0; }
    """

    def __init__(self, runs: Sequence[RunSnapshot], config: ProjectConfig, snapshot: FleetSnapshot) -> None:
        super().__init__()
        self._runs = runs
        self._names = [name for name in config.pods if any(run.pod != name for run in runs)]
        self._snapshot = snapshot

    def compose(self) -> ComposeResult:
        one = len(self._runs) == 1
        box = Vertical(id="box")
        box.border_title = "Move this run to" if one else f"Move these {len(self._runs)} runs to"
        box.border_subtitle = "enter moves · esc leaves all as it is"
        with box:
            yield VerticalScroll(Static(_told(self._runs)), id="names", can_focus=False)
            yield OptionList(*(self._option(name) for name in self._names))

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def fit(self, width: int, lines: int, low: bool) -> None:
        names = min(8, lines // 3)
        self.query_one("#names").styles.max_height = names
        self.query_one(OptionList).styles.max_height = max(1, min(12, lines - names - (not low)))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def _option(self, name: str) -> Option:
        return Option(Text.assemble(clean(name), (f"  {room(self._snapshot.pods.get(name))}", "dim")), id=name)


def _told(runs: Sequence[RunSnapshot]) -> Text:
    text = Text()
    for run in runs:
        text.append(clean(run.run_id), "bold").append(f"  {clean(run.state)} on {clean(run.pod)}\n")
    text.rstrip()
    return text
