"""What changes in a log or a list stands on the terminal at once, as if the whole screen had been drawn."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from textual.geometry import Region
from textual.pilot import Pilot
from textual.scrollbar import ScrollBar
from textual.strip import Strip
from textual.widget import Widget

from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import FleetSnapshot
from podops_tui import drawn_at_once
from podops_tui.app import OpsApp
from podops_tui.screens.help import HelpScreen
from podops_tui.widgets import log_view
from podops_tui.widgets.log_view import LogView
from podops_tui.widgets.runs_table import RunsTable
from tests.pods.conftest import MakeProject, Ops
from tests.pods.loopback import wait_for
from tests.terminal.recorded_fleet import CONFIG, recorded
from tests.terminal.terminal import Terminal
from tests.terminal.test_app_pilot import drawn, until, until_drawn
from tests.terminal.typed_log import TypedLog

SIZES = [(80, 24), (200, 60)]

Written = list[tuple[Region, str]]

#: Writes what stands in a file that a test appends to, each piece the moment it comes.
COPY = "import sys\nfor line in iter(sys.stdin.readline, ''): sys.stdout.write(line); sys.stdout.flush()"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """What is written of a log past Textual: where, and the sequences of each row."""
    return written_by(log_view, monkeypatch)


@pytest.fixture
def rows_written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """The same of lists and panes."""
    return written_by(drawn_at_once, monkeypatch)


def written_by(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Written:
    found: Written = []

    def noted(widget: Widget, place: Region, strips: Iterable[tuple[int, Strip]]) -> None:
        rows = ((number, strip.render(widget.app.console)) for number, strip in strips)
        found.extend((Region(place.x, place.y + number, place.width, 1), row) for number, row in rows)

    monkeypatch.setattr(module, "can_draw", lambda app: not app._batch_count)
    monkeypatch.setattr(module, "draw", noted)
    return found


def drawn_by_textual(app: OpsApp, place: Region) -> str:
    """The same row as Textual draws it."""
    strip = app.screen._compositor.render_strips()[place.y]
    return strip.crop(place.x, place.right).render(app.console)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", ["", "w", "/iter"], ids=["cut", "wrapped", "searched"])
async def test_what_is_written_at_once_is_what_drawing_the_screen_gives(
    fleet: Fleet, log: TypedLog, written: Written, size: tuple[int, int], keys: str
) -> None:
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=size) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("3")
        for number in range(80):
            log.type(f"\x1b[3{number % 8}miter {number}\x1b[0m: " + "x" * (number * 3) + " 日本語 👩‍🚀 é\tend")
        await until_drawn(pilot, app, "iter 79")
        await pilot.press(*keys)
        if keys.startswith("/"):
            await pilot.press("enter")
            await until_drawn(pilot, app, "held still")
            await pilot.press("f")
            await until_drawn(pilot, app, "Log · following")
        await all_in_its_place(log, written, pilot)
        for number in range(80, 90):
            rows = await rows_after(f"line {number} \x1b[1;7mmarked\x1b[0m iter", log, written, pilot)
            assert len(rows) == app.screen.query_one(LogView).scrollable_content_region.height
            for place, row in rows.items():
                assert plain(row) == plain(drawn_by_textual(app, place))


@pytest.mark.parametrize("size", SIZES)
async def test_rows_of_lists_and_panes_that_change_are_written_at_once_and_no_others(
    rows_written: Written, still_clock: None, size: tuple[int, int]
) -> None:
    found, fleet = recorded()
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=size) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("4")
        await until_drawn(pilot, app, "Heartbeat")
        pod = found.snapshot.pods["h100-a"]
        run = app.screen.query_one(RunsTable).selected
        assert run is not None
        shown_at_once = 0
        for step in range(11, 4000, 101):
            await until(pilot, lambda: not app.screen._layout_required, "the screen to lie still")
            rows_written.clear()
            changed = replace(pod, runs=dict(pod.runs) | {run.run_id: replace(run, step=step)})
            found.snapshot = FleetSnapshot(dict(found.snapshot.pods) | {pod.name: changed})
            await app._redraw()
            if app.screen._layout_required:
                continue  # something moves, and it is Textual that draws
            rows = dict(rows_written)
            panes = [app.screen.query_one(name) for name in ("#runs", "#heartbeat")]
            # A row of the list, and those of the heartbeat that tell of the step.
            assert [sum(pane.region.contains_region(place) for place in rows) for pane in panes] == [1, len(rows) - 1]
            assert 1 < len(rows) < 6 and any(f"step {step}" in row for row in rows.values())
            for place, row in rows.items():
                assert plain(row) == plain(drawn_by_textual(app, place))
            if (shown_at_once := shown_at_once + 1) == 2:
                break
        assert shown_at_once == 2


async def test_the_scroll_bar_tells_where_the_view_is_also_once_the_log_is_quiet(
    fleet: Fleet, log: TypedLog, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_at: list[float] = []
    plain_refresh = ScrollBar.refresh

    def noted(bar: ScrollBar, *regions: Region, **options: Any) -> ScrollBar:
        drawn_at.append(bar.position)
        return plain_refresh(bar, *regions, **options)

    monkeypatch.setattr(ScrollBar, "refresh", noted)
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("3")
        for number in range(300):
            log.type(f"iter {number}")
        await until_drawn(pilot, app, "iter 299")
        view = app.screen.query_one(LogView)
        for keys in ([], ["k", "pageup", "home"], ["G"], ["home", "G"], ["home", "f"], ["pageup", "end"]):
            await pilot.press(*keys)
            place = 0 if keys[-1:] == ["home"] else view.max_scroll_y
            await until(pilot, lambda place=place: drawn_at[-1] == place, f"the bar after {keys}")  # type: ignore[misc]


async def test_nothing_is_written_over_what_lies_in_front_of_a_log(
    fleet: Fleet, log: TypedLog, written: Written
) -> None:
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        log.type("first")
        await until_drawn(pilot, app, "first")
        app.notify("a word over what is below it\n" * 20, markup=False, timeout=3600)
        await until_drawn(pilot, app, "a word over what is below it")
        written.clear()
        log.type("behind a notice")
        await until_drawn(pilot, app, "behind a notice")
        assert written == []
        app.clear_notifications()
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the keys")
        log.type("behind the keys")
        await pilot.pause(0.2)
        assert written == []
        await pilot.press("escape")
        await until_drawn(pilot, app, "behind the keys")
        assert "a word over" not in drawn(app)
        await rows_after("in the open again", log, written, pilot)


async def test_a_log_that_is_held_still_is_not_written_over(fleet: Fleet, log: TypedLog, written: Written) -> None:
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        for number in range(60):
            log.type(f"line {number}")
        await until_drawn(pilot, app, "line 59")
        await pilot.press("3", "k")
        await until_drawn(pilot, app, "held still")
        written.clear()
        log.type("below what is shown")
        await pilot.pause(0.2)
        assert written == [] and "below what is shown" not in drawn(app)
        await pilot.press("f")
        await until_drawn(pilot, app, "below what is shown")


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_terminal_shows_the_same_after_lines_that_came_one_by_one_as_after_a_whole_drawing(
    terminal: Terminal, project: MakeProject, ops: Ops, client_home: Path, columns: int, rows: int
) -> None:
    typed = client_home / "typed"
    typed.touch()
    line = f"tail -n +1 -F {shlex.quote(str(typed))} | python3 -c {shlex.quote(COPY)}"
    made = project("here", presets={"copy": {"kind": "command", "command": line}})
    ops("run", "submit", "--preset", "copy", "--run-id", "copy")
    # Exported by somebody's `resize`, they say what was true of the terminal then.
    exported = {"COLUMNS": str(columns), "LINES": str(rows)}
    terminal.start_ops(columns, rows, made.file, client_home, env=exported)
    terminal.wait_for(r"● running")
    for number in range(70):
        with typed.open("a") as file:
            file.write(f"\x1b[3{number % 8}mline {number} 漢字\x1b[0m {'=' * number}\n")
        if number % 3 == 0:
            terminal.wait_for(rf"line {number}\b")
    one_by_one = logged(terminal)
    assert len(one_by_one) > 4
    terminal.tmux("resize-window", "-x", str(columns), "-y", str(rows + 12))
    wait_for(lambda: len(logged(terminal)) > len(one_by_one), "more rows")
    terminal.tmux("resize-window", "-x", str(columns), "-y", str(rows))
    wait_for(lambda: logged(terminal) == one_by_one, "the same rows")
    terminal.press("q")
    assert terminal.gone()
    ops("run", "kill", "copy", "--yes", "--grace", "0.1")


async def all_in_its_place(log: TypedLog, written: Written, pilot: Pilot[None]) -> None:
    """Where a scroll bar comes or goes, Textual lays out the screen; type until lines are written at once again."""
    await rows_after("until all is in its place", log, written, pilot)


async def rows_after(line: str, log: TypedLog, written: Written, pilot: Pilot[None]) -> dict[Region, str]:
    """The rows that are written at once as the log grows by `line`.

    It is Textual that draws a line where the screen is about to be laid out, so lines are typed until one is not.
    """
    for number in range(1000):
        written.clear()
        log.type(typed := f"{number} {line}")
        begins = typed.partition("\x1b")[0]
        await until_drawn(pilot, pilot.app, begins)
        if any(begins in row for _, row in written):
            return dict(written)
    raise AssertionError(f"no line is written at once in:\n{drawn(pilot.app)}")


def logged(terminal: Terminal) -> list[tuple[int, str]]:
    """What stands of the log in which row, with its colours; not the scroll bar, which may follow later."""
    shown = enumerate(terminal.tmux("capture-pane", "-p", "-e").splitlines())
    return [(y, found[0]) for y, row in shown if (found := re.search(r"\x1b\[[0-9;]*mline \d+ 漢字\S* =*", row))]


def plain(row: str) -> list[tuple[str, str]]:
    """Each character with the colours and attributes that it has, however they are set."""
    style, found = "", []
    for part in re.split(r"(\x1b\[[0-9;]*m)", row):
        if part.startswith("\x1b["):
            style = "" if part in ("\x1b[0m", "\x1b[m") else part
        else:
            found += [(character, style) for character in part]
    return found
