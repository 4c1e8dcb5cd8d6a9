"""One run on the whole screen: its log, what it says about itself, and how it was started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops_tui.ansi import clean
from podops_tui.widgets.heartbeat_pane import heartbeat
from podops_tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from podops_tui.app import OpsApp


class RunScreen(Screen[None]):
    CSS = """
    RunScreen #log { width: 2fr; border: round $surface-lighten-2; }
    RunScreen #facts { width: 1fr; border: round $surface-lighten-2; }
    RunScreen #facts Static { height: auto; }
    RunScreen.narrow #body { layout: vertical; }
    RunScreen.narrow #log { width: 1fr; height: 2fr; }
    RunScreen.narrow #facts { width: 1fr; height: 1fr; }
    RunScreen #log:focus, RunScreen #facts:focus { border: round $accent; }
    """

    def __init__(self, run: RunSnapshot) -> None:
        super().__init__()
        self._run = run

    @property
    def ops(self) -> OpsApp:
        return cast("OpsApp", self.app)

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield LogView(id="log")
            yield VerticalScroll(Static(id="fact-text"), id="facts")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.query_one("#facts").border_title = "Run"
        self.query_one(LogView).focus()
        self.query_one(LogView).show_run(self.ops.fleet, self._run)
        self.show_snapshot(self.ops.snapshot)

    def on_resize(self) -> None:
        self.set_class(self.size.width < 120, "narrow")

    def show_snapshot(self, snapshot: FleetSnapshot) -> None:
        for run in snapshot.runs():
            if (run.project, run.run_id) == (self._run.project, self._run.run_id):
                self._run = run
        self.query_one("#fact-text", Static).update(facts(self._run, time.monotonic()))

    @property
    def selected_run(self) -> RunSnapshot | None:
        return self._run

    @property
    def selected_pod(self) -> PodSnapshot | None:
        return self.ops.snapshot.pods.get(self._run.pod)

    def op_back(self) -> None:
        self.app.pop_screen()

    def op_follow(self) -> None:
        self.query_one(LogView).toggle_follow()

    def op_wrap(self) -> None:
        self.query_one(LogView).toggle_wrap()


def facts(run: RunSnapshot, now: float) -> Text:
    """Everything known about `run`, for reading."""
    text = Text.assemble((clean(run.run_id) + "\n", "bold")).append_text(heartbeat(run, now)).append("\n")
    rows = {
        "pod": run.pod,
        "preset": run.preset,
        "kind": run.kind,
        "user": run.user,
        "gpus": ", ".join(map(str, run.gpus)),
        "exit code": "" if run.exit_code is None else str(run.exit_code),
        "signal": "" if run.signal is None else str(run.signal),
        "endpoint": run.endpoint,
        "session": run.session or "",
        "directory": run.run_dir,
        "tags": ", ".join(run.tags),
        **run.tracking,
    }
    for name, value in rows.items():
        if value:
            text.append(f"{clean(name):<10}", "dim").append(clean(value) + "\n")
    return text.append("\ncommand\n", "dim").append(clean(run.command) or "not recorded")
