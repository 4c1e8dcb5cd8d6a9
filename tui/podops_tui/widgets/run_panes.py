"""The three live panes of one run: side by side where there is room, else one at a time."""

from __future__ import annotations

import time

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.geometry import Size

from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops_tui.format import age
from podops_tui.widgets.gpu_pane import gpus
from podops_tui.widgets.heartbeat_pane import heartbeat
from podops_tui.widgets.log_pane import LogPane
from podops_tui.widgets.text_pane import TextPane

#: Columns from which the panes stand side by side.
WIDE = 120

PANES = ("log", "heartbeat", "gpu")


class RunPanes(Horizontal):
    DEFAULT_CSS = """
    RunPanes { height: 3fr; }
    RunPanes #log { width: 2fr; }
    RunPanes TextPane { width: 1fr; }
    """

    def __init__(self, *, first_number: int) -> None:
        super().__init__()
        self._number = first_number
        self._shown = "log"
        self._gpus: object = None
        self._of: tuple[PodSnapshot | None, RunSnapshot | None] = (None, None)

    def compose(self) -> ComposeResult:
        yield LogPane(number=self._number)
        yield TextPane(id="heartbeat", title=f"{self._number + 1} Heartbeat")
        yield TextPane(id="gpu", title=f"{self._number + 2} nvidia-smi")

    def on_resize(self) -> None:
        self._arrange()
        self._show_gpus()

    def show_pane(self, name: str) -> None:
        """Bring one pane to the front and focus it."""
        self._shown = name
        self._arrange()
        target = self.query_one(LogPane).view if name == "log" else self.query_one(f"#{name}")
        target.focus()

    def show_run(self, fleet: Fleet, pod: PodSnapshot | None, run: RunSnapshot | None) -> None:
        self.query_one(LogPane).show_run(fleet, run)
        nothing = Text("no run selected", "dim")
        self.query_one("#heartbeat", TextPane).show(nothing if run is None else _beat(pod, run))
        self._of = (pod, run)
        self._show_gpus()

    def _show_gpus(self) -> None:
        pod, run = self._of
        room = self._gpu_room()
        mine = None if run is None else (run.run_id, run.ended, run.gpus)
        shown = (None if pod is None else (pod.name, pod.state, pod.gpus), mine, room)
        # A pod tells of its GPUs once a second; between that nothing of theirs has to be put together again.
        if shown != self._gpus:
            self._gpus = shown
            told = Text("no pod selected", "dim") if pod is None else gpus(pod, run, room=room)
            self.query_one("#gpu", TextPane).show(told)

    def _gpu_room(self) -> Size:
        """What is inside the frame of the pane of the GPUs, which may not be laid out; without its scroll bar."""
        width = self.size.width // 4 if self.size.width >= WIDE else self.size.width
        return Size(max(0, width - 3), max(0, self.size.height - 2))

    def _arrange(self) -> None:
        wide = self.size.width >= WIDE
        for name in PANES:
            self.query_one(f"#{name}").display = wide or name == self._shown
        hidden = "" if wide else "  ".join(self._titles())
        for name in PANES:
            if name != "log":
                self.query_one(f"#{name}", TextPane).border_subtitle = hidden
        self.query_one(LogPane).tell_others(hidden)

    def _titles(self) -> list[str]:
        names = ("Log", "Heartbeat", "nvidia-smi")
        return [
            f"{self._number + place} {name}"
            for place, (key, name) in enumerate(zip(PANES, names, strict=True))
            if key != self._shown
        ]


def _beat(pod: PodSnapshot | None, run: RunSnapshot) -> Text:
    """The heartbeat; that of a pod that is not live stands as it was when the pod was last heard, and says so."""
    now = time.monotonic()
    recalled = pod is not None and pod.as_of is not None
    if pod is None or pod.name != run.pod or (pod.state in ("live", "connecting") and not recalled):
        return heartbeat(run, now)
    seen = pod.as_of or pod.last_seen
    ago = None if seen is None else max(0.0, time.time() - seen)
    heard = run.received_at if ago is None or recalled else max(run.received_at, now - ago)
    told = "this is old" if ago is None else f"as of {age(ago)} ago"
    shown = heartbeat(run, heard)
    shown.stylize("dim")
    return Text.assemble((f"pod is {pod.state}: {told}\n", "yellow")).append_text(shown)
