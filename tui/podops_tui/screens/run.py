"""One run on the whole screen: log, metrics, GPUs, configuration, files, events, facts."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Footer, Static

from podops.errors import NotFoundError, PodopsError
from podops.fleet.find_run import as_it_is, is_another
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops_runners.rundir import EVENTS, METRICS, READABLE
from podops_tui.ansi import clean
from podops_tui.format import age, elapsed
from podops_tui.live_screen import LiveScreen
from podops_tui.metrics_series import MetricsSeries
from podops_tui.run_files import GrowingFile, read
from podops_tui.run_story import RunStory
from podops_tui.run_texts import config_text, events_text, facts, file_text
from podops_tui.run_words import run_mark, waited, why
from podops_tui.widgets.files_pane import FilesPane
from podops_tui.widgets.gpu_pane import gpus
from podops_tui.widgets.log_pane import LogActions, LogPane
from podops_tui.widgets.metrics_pane import MetricsPane
from podops_tui.widgets.row_list import RowList
from podops_tui.widgets.text_pane import TextPane

_TITLES = {
    "log": "Log",
    "metrics": "Metrics",
    "gpu": "GPUs",
    "config": "Config",
    "files": "Files",
    "events": "Events",
    "run": "Run",
}

#: How often the pane in view asks its pod for what is new, seconds.
_READ_S = 2.0

#: So much of the end of a file is shown, bytes.
_FILE_BYTES = 64 * 1024

#: What a long name leaves beside it for the state and its age, columns.
_BESIDE_NAME = 32

#: From this width on the facts stand beside the pane.
_WIDE = 120


class RunScreen(LiveScreen, LogActions):
    CSS = """
    RunScreen #head, RunScreen #tabs { height: 1; padding: 0 1; }
    RunScreen #panes { width: 2fr; }
    RunScreen #run { width: 1fr; }
    """
    PANES: ClassVar[tuple[str, ...]] = tuple(_TITLES)
    OPENS: ClassVar[bool] = False

    def __init__(self, run: RunSnapshot, *, pane: str = "log") -> None:
        super().__init__()
        self._run = run
        self._pane = pane
        self._series = MetricsSeries()
        self._story = RunStory()
        self._metrics: GrowingFile | None = None
        self._reading = False

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="tabs")
        with Horizontal(id="body"):
            with Vertical(id="panes"):
                yield LogPane(number=1)
                yield MetricsPane()
                yield TextPane(id="gpu", title="nvidia-smi")
                yield TextPane(id="config", title="Config")
                yield FilesPane()
                yield TextPane(id="events", title="Events")
            yield TextPane(id="run", title="7 Run")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self._begin()
        self.show_snapshot(self.ops.snapshot)
        self.go_to(self._pane)
        self.set_interval(_READ_S, self._read_pane)

    def _begin(self) -> None:
        """Nothing has been read of this run, which may be one that was submitted anew."""
        self._series, self._story = MetricsSeries(), RunStory()
        self._metrics = GrowingFile(self.ops.fleet, self._run, METRICS)

    def on_resize(self) -> None:
        self._arrange()

    def show_snapshot(self, snapshot: FleetSnapshot) -> None:
        before, self._run = self._run, _newest(snapshot, self._run)
        if is_another(self._run, before):
            self._begin()
        now = time.monotonic()
        pod = snapshot.pods.get(self._run.pod)
        # Its height is one line, whatever stands in it.
        self.query_one("#head", Static).update(_head(self._run, pod, now, self.size.width), layout=False)
        self.query_one("#run", TextPane).show(facts(self._run, self._story, now))
        self.query_one(LogPane).show_run(self.ops.fleet, self._run)
        if pod is not None and self._pane == "gpu":
            self.query_one("#gpu", TextPane).show(gpus(pod, self._run, full=True))

    @property
    def selected_run(self) -> RunSnapshot | None:
        return self._run

    @property
    def selected_pod(self) -> PodSnapshot | None:
        return self.ops.snapshot.pods.get(self._run.pod)

    def go_to(self, pane: str) -> None:
        self._pane = pane
        self._arrange()
        self.show_snapshot(self.ops.snapshot)
        inner = {"log": "#log-view", "metrics": "#metric-list", "files": "#file-list"}
        self.query_one(inner.get(pane, f"#{pane}")).focus()
        self._read_pane()

    def op_back(self) -> None:
        self.app.pop_screen()

    def op_find(self) -> None:
        self.go_to("log")
        self.query_one(LogPane).open_search()

    def op_log(self) -> None:
        self.go_to("log")

    def op_metrics(self) -> None:
        self.go_to("metrics")

    def op_gpu(self) -> None:
        self.go_to("gpu")

    def _arrange(self) -> None:
        wide = self.size.width >= _WIDE
        alone = self._pane == "run" and not wide
        for name in self.PANES:
            self.query_one(f"#{name}", Widget).display = name == self._pane or (wide and name == "run")
        if wide and self._pane == "run":
            self.query_one("#log").display = True
        self.query_one("#panes").display = not alone
        self.query_one("#tabs", Static).update(self._tabs())

    def _tabs(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, (name, title) in enumerate(_TITLES.items(), 1):
            text.append(f" {number} {title} ", "reverse" if name == self._pane else "")
        return text

    def _read_pane(self) -> None:
        """Ask the pod for what the panes in view show, one question at a time."""
        if self._reading or not self.is_current:
            return
        self._reading = True
        self.run_worker(self._read(self._pane), exit_on_error=False)

    async def _read(self, pane: str) -> None:
        reading = {
            "metrics": self._read_metrics,
            "config": self._read_config,
            "files": self._read_files,
            "events": self._read_events,
        }
        try:
            if pane in reading:
                await reading[pane]()
            if self.query_one("#run").display:
                await self._story.refresh(self.ops.fleet, self._run)
        except PodopsError as error:
            self._show_trouble(pane, clean(error.message))
        finally:
            self._reading = False

    def _show_trouble(self, pane: str, text: str) -> None:
        """What was read before stays; only an empty pane says why it is empty."""
        if pane == "metrics" and not self._series.last:
            self.query_one(MetricsPane).show_trouble(text)
        elif pane in ("config", "events"):
            self.query_one(f"#{pane}", TextPane).border_subtitle = text[:100].replace("[", "\\[")
        elif pane == "files":
            self.query_one(FilesPane).show_file(Text(text, "red"))

    async def _read_metrics(self) -> None:
        if self._metrics is not None:
            self._series.feed(await self._metrics.more())
        self.query_one(MetricsPane).show_series(self._series, ended=self._run.ended)

    async def _read_config(self) -> None:
        run = self._run
        records = await self.ops.fleet.run_records(run.pod, run.run_id, project=run.project)
        effective = await self._file("config_effective.json")
        self._show_text("config", config_text(records, effective))

    async def _read_events(self) -> None:
        self._show_text("events", events_text(await self._file(EVENTS, offset=-256 * 1024) or b""))

    def _show_text(self, pane: str, text: Text) -> None:
        self.query_one(f"#{pane}", TextPane).show(text)
        self.query_one(f"#{pane}", TextPane).border_subtitle = ""

    async def _file(self, name: str, *, offset: int = 0) -> bytes | None:
        try:
            return (await read(self.ops.fleet, self._run, name, offset=offset))[2]
        except NotFoundError:
            return None

    async def _read_files(self) -> None:
        rows = []
        for name in (*READABLE, "heartbeat", "summary"):
            try:
                rows.append((name, (await read(self.ops.fleet, self._run, name, length=0))[1]))
            except NotFoundError:
                continue
        pane = self.query_one(FilesPane)
        pane.show_files(rows, self._run.run_dir)
        await self._show_chosen()

    async def _show_chosen(self) -> None:
        pane = self.query_one(FilesPane)
        name = pane.chosen
        if not name:
            return
        try:
            offset, whole, data = await read(self.ops.fleet, self._run, name, offset=-_FILE_BYTES)
            text = file_text(name, offset, whole, data)
        except PodopsError as error:
            text = Text(clean(error.message), "red")
        if name == pane.chosen:
            pane.show_file(text)

    @on(RowList.Selected, "#file-list")
    def _chosen(self) -> None:
        self.run_worker(self._show_chosen(), group="file", exclusive=True, exit_on_error=False)


def _newest(snapshot: FleetSnapshot, run: RunSnapshot) -> RunSnapshot:
    """What the fleet says of `run` now; the run itself when it says nothing."""
    pod = snapshot.pods.get(run.pod)
    found = None if pod is None else pod.runs.get(run.run_id)
    if found is not None and found.project == run.project and found.owned:
        return found
    other = next((one for one in snapshot.runs() if (one.project, one.run_id) == (run.project, run.run_id)), None)
    return other or (run if pod is None or found is not None else as_it_is(pod, run))


def _head(run: RunSnapshot, pod: PodSnapshot | None, now: float, width: int) -> Text:
    mark, colour = run_mark(run)
    name, room = clean(run.run_id), max(20, width - _BESIDE_NAME)
    text = Text.assemble(
        (name if len(name) <= room else name[: room - 1] + "…", "bold"), "  ", (f"{mark} {clean(run.state)}", colour)
    )
    if words := why(run, now):
        text.append(f" {words}", colour)
    text.append(f"  {age(waited(run, now) if run.waiting else elapsed(run, now))}  on {clean(run.pod)}")
    if pod is not None and pod.state != "live":
        text.append(f"  pod {pod.state}: what you see is old", "yellow")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
