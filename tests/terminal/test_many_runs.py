"""The app with ten pods of a hundred runs: what is not in view costs nothing to draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.text import Text
from textual.pilot import Pilot
from textual.screen import Screen

import podops_tui.widgets.row_list
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops_tui.app import OpsApp
from podops_tui.widgets.runs_table import RunsTable
from tests.terminal.recorded_fleet import CONFIG, RecordedFleet, recorded
from tests.terminal.test_app_pilot import at_rest, until_drawn

drawn_rows: list[str] = []


@pytest.fixture(autouse=True)
def count_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Note the run of each row that is drawn; ages alone draw nothing here."""
    line_of = RunsTable.line_of

    def noted(self: RunsTable, item: RunSnapshot | None, width: int) -> Text:
        drawn_rows.append("" if item is None else item.run_id)
        return line_of(self, item, width)

    monkeypatch.setattr(RunsTable, "line_of", noted)
    monkeypatch.setattr(podops_tui.widgets.row_list, "_AGES_S", 1e9)
    yield
    drawn_rows.clear()


def many() -> FleetSnapshot:
    """The newest run is `run-9-99`, the oldest `run-0-0`."""
    pods = []
    for number in range(10):
        runs = {
            f"run-{number}-{index}": RunSnapshot(
                f"run-{number}-{index}", f"pod-{number}", "running", "proj", created_at=1000.0 * number + index, step=1
            )
            for index in range(100)
        }
        pods.append(PodSnapshot(f"pod-{number}", "live", "ssh", f"pod-{number}", runs=runs))
    return FleetSnapshot({pod.name: pod for pod in pods})


async def step(fleet: RecordedFleet, app: OpsApp, run_id: str) -> None:
    """One run has come further, and the app hears of it."""
    name = f"pod-{run_id.split('-')[1]}"
    pod = fleet.snapshot.pods[name]
    changed = dict(pod.runs) | {run_id: replace(pod.runs[run_id], step=4242)}
    fleet.snapshot = FleetSnapshot({**fleet.snapshot.pods, name: replace(pod, runs=changed)})
    await app._redraw()


async def settle(pilot: Pilot[None]) -> None:
    """Until a while passes in which no row is drawn and nothing is laid out."""
    drawn_rows.append("")
    while drawn_rows:
        drawn_rows.clear()
        await at_rest(pilot)


async def test_only_rows_in_view_whose_run_has_changed_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, typed = recorded(snapshot=many())
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(160, 40)) as pilot:
        await until_drawn(pilot, app, "Runs 1000/1000")
        assert 0 < len(set(drawn_rows)) <= 40, "of a thousand runs only those in view were ever drawn"
        await settle(pilot)
        await step(fleet, app, "run-0-0")
        await pilot.pause(0.3)
        assert drawn_rows == []
        await step(fleet, app, "run-9-98")
        await until_drawn(pilot, app, "4242")
        assert set(drawn_rows) == {"run-9-98"}


async def test_a_change_of_values_lays_nothing_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts: list[None] = []
    lay_out = Screen._refresh_layout

    def noted(self: Screen[None], *given: object, **more: object) -> None:
        layouts.append(None)
        lay_out(self, *given, **more)  # type: ignore[arg-type]

    fleet, typed = recorded(b"".join(b"line %d\n" % number for number in range(200)), snapshot=many())
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(160, 40)) as pilot:
        await until_drawn(pilot, app, "line 199")
        await settle(pilot)
        monkeypatch.setattr(Screen, "_refresh_layout", noted)
        await step(fleet, app, "run-9-98")
        await until_drawn(pilot, app, "4242")
        reader = app.screen.query_one("#log-view").reader  # type: ignore[attr-defined]
        reader.buffer.feed(b"one line more\n")
        reader._changed()
        await until_drawn(pilot, app, "one line more")
        assert layouts == []
