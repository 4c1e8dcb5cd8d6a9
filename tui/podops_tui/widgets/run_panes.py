"""The three live panes of one run: side by side where there is room, else one at a time."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll

from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops_tui.widgets.gpu_pane import GpuPane
from podops_tui.widgets.heartbeat_pane import HeartbeatPane
from podops_tui.widgets.log_view import LogView

#: Columns from which the panes stand side by side.
WIDE = 120

PANES = ("log", "heartbeat", "gpu")
_TITLES = {"heartbeat": "Heartbeat", "gpu": "nvidia-smi"}


class RunPanes(Horizontal):
    DEFAULT_CSS = """
    RunPanes { height: 3fr; }
    RunPanes #log { width: 2fr; border: round $surface-lighten-2; }
    RunPanes .pane { width: 1fr; border: round $surface-lighten-2; }
    RunPanes .pane Static { height: auto; }
    RunPanes #log:focus, RunPanes .pane:focus { border: round $accent; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown = "log"

    def compose(self) -> ComposeResult:
        yield LogView(id="log")
        for name, pane in (("heartbeat", HeartbeatPane()), ("gpu", GpuPane())):
            pane.can_focus = False
            box = VerticalScroll(pane, id=name, classes="pane")
            box.border_title = _TITLES[name]
            yield box

    def on_resize(self) -> None:
        self._arrange()

    def show_pane(self, name: str) -> None:
        """Bring one pane to the front and focus it."""
        self._shown = name
        self._arrange()
        self.query_one(f"#{name}").focus()

    def show_run(self, fleet: Fleet, pod: PodSnapshot | None, run: RunSnapshot | None) -> None:
        self.query_one(LogView).show_run(fleet, run)
        self.query_one(HeartbeatPane).show_run(run)
        self.query_one(GpuPane).show_pod(pod, run)

    def _arrange(self) -> None:
        wide = self.size.width >= WIDE
        for name in PANES:
            self.query_one(f"#{name}").display = wide or name == self._shown
