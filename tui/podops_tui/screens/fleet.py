"""The first screen: pods, runs, and the live panes of the selected run."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, Input

from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops_tui.widgets.log_view import LogView
from podops_tui.widgets.pods_table import PodsTable
from podops_tui.widgets.row_list import RowList
from podops_tui.widgets.run_panes import RunPanes
from podops_tui.widgets.runs_table import RunsTable

if TYPE_CHECKING:
    from podops_tui.app import OpsApp


class FleetScreen(Screen[None]):
    CSS = """
    PodsTable { height: auto; border: round $surface-lighten-2; }
    RunsTable { height: 2fr; min-height: 5; border: round $surface-lighten-2; }
    PodsTable:focus, RunsTable:focus { border: round $accent; }
    #filter { display: none; height: 1; border: none; padding: 0 1; }
    #filter.open { display: block; }
    """

    @property
    def ops(self) -> OpsApp:
        return cast("OpsApp", self.app)

    def compose(self) -> ComposeResult:
        yield PodsTable(id="pods")
        yield RunsTable(id="runs")
        yield Input(id="filter", placeholder="filter runs: words of id, pod, preset, state, reason", compact=True)
        yield RunPanes()
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.query_one(RunsTable).focus()
        self.show_snapshot(self.ops.snapshot)

    def on_resize(self) -> None:
        self._fit()

    def show_snapshot(self, snapshot: FleetSnapshot) -> None:
        """Draw everything anew; called at most ten times a second."""
        self.query_one(PodsTable).show(list(snapshot.pods.values()))
        self.query_one(RunsTable).show_runs(snapshot.runs())
        self._fit()
        self._show_selected()

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

    @on(RowList.Selected)
    def _show_selected(self) -> None:
        self.query_one(RunPanes).show_run(self.ops.fleet, self.selected_pod, self.selected_run)

    def on_descendant_focus(self) -> None:
        self._show_selected()

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        self.query_one(RunsTable).text_filter = event.value
        self.query_one(RunsTable).show_runs(self.ops.snapshot.runs())

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self.query_one(RunsTable).focus()

    def op_filter(self) -> None:
        self.query_one("#filter").add_class("open")
        self.query_one("#filter").focus()

    def op_back(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("open")
        self.query_one(RunsTable).focus()

    def op_sort(self) -> None:
        self.query_one(RunsTable).next_sort()
        self.show_snapshot(self.ops.snapshot)

    def op_follow(self) -> None:
        self.query_one(LogView).toggle_follow()

    def op_wrap(self) -> None:
        self.query_one(LogView).toggle_wrap()

    def op_pane_log(self) -> None:
        self.query_one(RunPanes).show_pane("log")

    def op_pane_heartbeat(self) -> None:
        self.query_one(RunPanes).show_pane("heartbeat")

    def op_pane_gpu(self) -> None:
        self.query_one(RunPanes).show_pane("gpu")

    def _fit(self) -> None:
        """Pods take what they need, up to a quarter of the screen."""
        pods = self.query_one(PodsTable)
        pods.styles.height = min(len(pods.items) + 3, max(5, self.size.height // 4))
