"""The first screen: pods, runs, and the live panes of the selected run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Footer, Input

from podops.fleet.run_order import RunOrder
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops_tui.live_screen import LiveScreen
from podops_tui.widgets.log_pane import LogActions, LogPane
from podops_tui.widgets.pods_table import PodsTable
from podops_tui.widgets.row_list import RowList
from podops_tui.widgets.run_panes import RunPanes
from podops_tui.widgets.runs_table import RunsTable, run_key
from podops_tui.widgets.source_lines import SourceLines

#: Below so many lines the runs and the panes of one have no room beside each other.
_LOW = 15


class FleetScreen(LiveScreen, LogActions):
    CSS = """
    PodsTable { height: auto; border: round $surface-lighten-2; }
    RunsTable { border: round $surface-lighten-2; }
    PodsTable:focus, RunsTable:focus { border: round $accent; }
    PodsTable.away, RunsTable.away { min-height: 0; border: none; }
    RunPanes.away { height: 0; }
    #filter { display: none; height: 1; border: none; padding: 0 1; }
    #filter.open { display: block; }
    """
    PANES: ClassVar[tuple[str, ...]] = ("pods", "runs", "log", "heartbeat", "gpu")

    def __init__(self) -> None:
        super().__init__()
        self._order = RunOrder()
        # Rows that tell of pod sources in trouble.
        self._source_rows = 0

    def compose(self) -> ComposeResult:
        yield PodsTable(id="pods")
        yield SourceLines(id="sources")
        yield RunsTable(id="runs", number=2)
        yield Input(id="filter", placeholder="filter runs: words of id, pod, preset, state, reason", compact=True)
        yield RunPanes(first_number=3)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(RunsTable).focus()
        self.show_snapshot(self.ops.snapshot)

    def on_resize(self) -> None:
        self._fit()

    def show_snapshot(self, snapshot: FleetSnapshot) -> None:
        for _ in self.parts(snapshot):
            pass

    def parts(self, snapshot: FleetSnapshot) -> Iterator[None]:
        pods = self.query_one(PodsTable)
        if not snapshot.pods and any(source.state == "asking" for source in snapshot.sources):
            pods.empty = "no pods yet: their sources are being asked"
        pods.show(list(snapshot.pods.values()))
        self._source_rows = self.query_one(SourceLines).show(snapshot.sources, self.size.width)
        self._fit()
        yield
        self._show_runs()
        self._fit()
        yield
        self._show_selected()
        yield

    @property
    def selected_run(self) -> RunSnapshot | None:
        return self.query_one(RunsTable).selected

    @property
    def selected_pod(self) -> PodSnapshot | None:
        """The pod under the cursor while the pods have the focus, else the selected run's."""
        pods = self.query_one(PodsTable)
        run = self.selected_run
        if pods.has_focus or run is None:
            return pods.selected
        return self.ops.snapshot.pods.get(run.pod)

    @property
    def pods_in_view(self) -> frozenset[str]:
        pods = {pod.name for pod in self.query_one(PodsTable).in_view}
        runs = {run.pod for run in self.query_one(RunsTable).in_view}
        return super().pods_in_view | pods | runs

    @property
    def chosen_runs(self) -> list[RunSnapshot]:
        marked = self.query_one(RunsTable).marked
        if marked:
            return [run for run in self.ops.snapshot.runs() if run_key(run) in marked]
        return super().chosen_runs

    @property
    def to_open(self) -> RunSnapshot | PodSnapshot | None:
        return self.selected_pod if self.query_one(PodsTable).has_focus else self.selected_run

    @property
    def name_to_copy(self) -> str:
        pod = self.query_one(PodsTable).selected
        if self.query_one(PodsTable).has_focus and pod is not None:
            return pod.name
        return super().name_to_copy

    def select_run(self, project: str, run_id: str) -> None:
        """Select a run as soon as it is in the list; a filter that could hide it is dropped."""
        self._drop_filter()
        self.query_one(RunsTable).awaited = (project, run_id)
        self.show_snapshot(self.ops.snapshot)

    def clear_marks(self) -> None:
        self.query_one(RunsTable).marked.clear()
        self._show_runs()

    @on(RowList.Selected)
    def _show_selected(self) -> None:
        self.query_one(RunPanes).show_run(self.ops.fleet, self.selected_pod, self.selected_run)

    def on_descendant_focus(self) -> None:
        self._fit()
        self._show_selected()

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        self.query_one(RunsTable).text_filter = event.value
        self._show_runs()

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self.query_one(RunsTable).focus()

    def op_find(self) -> None:
        if self.query_one(LogPane).view.has_focus:
            self.query_one(LogPane).open_search()
            return
        self.query_one("#filter").add_class("open")
        self.query_one("#filter").focus()
        self._fit()

    def op_mark(self) -> None:
        self.query_one(RunsTable).mark()
        self._show_runs()

    def op_back(self) -> None:
        self._drop_filter()
        self.clear_marks()
        self.query_one(RunsTable).focus()

    def op_sort(self) -> None:
        self.query_one(RunsTable).next_sort()
        self.show_snapshot(self.ops.snapshot)

    def op_log(self) -> None:
        self.go_to("log")

    def op_gpu(self) -> None:
        self.go_to("gpu")

    def go_to(self, pane: str) -> None:
        if pane in ("pods", "runs"):
            self.query_one(f"#{pane}").focus()
        else:
            self.query_one(RunPanes).show_pane(pane)

    def _show_runs(self) -> None:
        snapshot = self.ops.snapshot
        self.query_one(RunsTable).show_runs(self._order.runs(snapshot), snapshot.pods)

    def _drop_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("open")
        self._fit()

    def _fit(self) -> None:
        """Pods take what they need, up to a quarter of the screen, and runs up to half of what is left."""
        pods, runs = self.query_one(PodsTable), self.query_one(RunsTable)
        if self._fit_low(pods, runs):
            return
        height = min(max(1, len(pods.items)) + 3, max(5, self.size.height // 4))
        pods.styles.height = height
        pods.tell_hidden(height - 3)
        # One line is the footer's. A filter leaves the height as it is: nothing should jump while one types.
        runs.styles.height = max(5, min(runs.known + 3, (self.size.height - height - self._source_rows - 1) // 2))

    def _fit_low(self, pods: PodsTable, runs: RunsTable) -> bool:
        """Show either the lists or the pane that has the focus, if there are lines for no more."""
        panes = self.query_one(RunPanes)
        low = self.size.height < _LOW
        away = low and panes.has_focus_within
        panes.set_class(low and not away, "away")
        left = self.size.height - 1 - self._source_rows - self.query_one("#filter").has_class("open")
        no_pods = away or (low and left < 8 and not pods.has_focus)
        pods.set_class(no_pods, "away")
        runs.set_class(away, "away")
        if low:
            pods.styles.height = height = 0 if no_pods else 4
            runs.styles.height = 0 if away else max(3, left - height)
            pods.tell_hidden(1)
        return low
