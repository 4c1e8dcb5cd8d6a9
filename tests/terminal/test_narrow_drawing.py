"""What changes on the screen is drawn at once, as if all of the screen had been drawn, by asking for little else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from textual import screen
from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip

from podops.fleet.fleet import Fleet
from podops_tui import frames, live_screen
from podops_tui.app import OpsApp
from podops_tui.narrow_compositor import NarrowCompositor
from podops_tui.screens.fleet import FleetScreen
from podops_tui.widgets import row_list
from podops_tui.widgets.log_view import LogView
from podops_tui.widgets.pods_table import PodsTable
from podops_tui.widgets.row_list import RowList
from podops_tui.widgets.runs_table import RunsTable
from podops_tui.widgets.text_pane import TextPane
from tests.terminal.recorded_fleet import CONFIG
from tests.terminal.test_app_pilot import at_rest, drawn, until, until_drawn
from tests.terminal.typed_log import TypedLog


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Each part of a screen that is drawn, as it is written to the terminal; the same when all widgets are asked."""
    parts: list[str] = []
    narrow = NarrowCompositor.render_partial_update

    def both(self: NarrowCompositor) -> ChopsUpdate | None:
        dirty = set(self._dirty_regions)
        found = narrow(self)
        self._dirty_regions.update(dirty)
        with monkeypatch.context() as plainly:
            plainly.setattr(self, "_get_renders", partial(Compositor._get_renders, self), raising=False)
            whole = narrow(self)
        if found is None or whole is None:
            assert found is whole
            return found
        console = apps[-1].console
        parts.append(found.render_segments(console))
        assert _shown(parts[-1]) == _shown(whole.render_segments(console))
        return found

    apps: list[OpsApp] = []
    begin = OpsApp.__init__

    def noted(self: OpsApp, *arguments: Any, **options: Any) -> None:
        apps.append(self)
        begin(self, *arguments, **options)

    monkeypatch.setattr(OpsApp, "__init__", noted)
    monkeypatch.setattr(NarrowCompositor, "render_partial_update", both)
    yield parts


@pytest.fixture
def ageless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that tell an age are not told anew once a second."""
    monkeypatch.setattr(row_list, "_AGES_S", 1e9)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_each_part_that_is_drawn_is_what_drawing_the_whole_screen_gives(
    fleet: Fleet, log: TypedLog, compared: list[str], size: tuple[int, int]
) -> None:
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        for number in range(70):
            log.type(f"\x1b[3{number % 8}miter {number}\x1b[0m: " + "x" * (number * 5) + " 日本語")
            await pilot.pause(0.005)
        await until_drawn(pilot, app, "iter 69")
        app.notify("a word over what is below it", markup=False)
        for key in ("j", "tab", "k", "pageup", "w", "f", "slash", "o", "escape", "tab", "o", "ctrl+c"):
            await pilot.press(key)
            log.type(f"after {key}")
            await pilot.pause(0.02)
        await pilot.press("enter")
        for line in ("in full", "once more"):
            log.type(line)
            await pilot.pause(0.05)
        assert not isinstance(app.screen, FleetScreen)
        assert len(compared) > 60


async def test_a_line_of_a_log_asks_no_other_pane_for_its_lines(
    fleet: Fleet, log: TypedLog, ageless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, tables, lines = OpsApp(CONFIG, fleet=fleet), list[Region](), list[Region]()
    async with app.run_test(size=(120, 40)) as pilot:
        log.type("first")
        await until_drawn(pilot, app, "first")
        await at_rest(pilot)
        _note(monkeypatch, RowList, tables)
        _note(monkeypatch, LogView, lines)
        app.screen.query_one(LogView).refresh()
        await until(pilot, lambda: bool(lines), "the log to be drawn")
        assert tables == []


async def test_two_parts_far_from_each_other_ask_nothing_between_them(
    fleet: Fleet, log: TypedLog, ageless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, runs, pods = OpsApp(CONFIG, fleet=fleet), list[Region](), list[Region]()
    async with app.run_test(size=(120, 40)) as pilot:
        log.type("first")
        await until_drawn(pilot, app, "first")
        await at_rest(pilot)
        _note(monkeypatch, RunsTable, runs)
        _note(monkeypatch, PodsTable, pods)
        app.screen.query_one(PodsTable).refresh_line(1)
        app.screen.query_one("#heartbeat", TextPane).refresh_line(0)
        await until(pilot, lambda: bool(pods), "the pods to be drawn")
        assert (runs, [region.height for region in pods]) == ([], [1])


async def test_another_textual_draws_by_itself(fleet: Fleet, log: TypedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_screen, "compositor", Compositor)
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=(120, 40)) as pilot:
        log.type("first")
        assert "first" in await until_drawn(pilot, app, "first")
        assert type(app.screen._compositor) is Compositor and "2 Runs" in drawn(app)


@pytest.mark.parametrize(("told", "expected"), [("", frames.FRAME_S), ("30", 1 / 60)])
def test_a_screen_is_drawn_as_often_as_a_user_says_else_120_times_a_second_at_most(
    told: str, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "UPDATE_PERIOD", 1 / 60)
    monkeypatch.setenv("TEXTUAL_FPS", told)
    frames.shorten()
    assert vars(screen)["UPDATE_PERIOD"] == expected


def _shown(sequences: str) -> str:
    """Without the moves of the cursor to places where nothing is written."""
    return re.sub(r"\x1b\[\d+;\d+H(?=\x1b\[\d+;\d+H|\n|$)", "", sequences)


def _note(monkeypatch: pytest.MonkeyPatch, kind: type[Any], asked: list[Region]) -> None:
    plain = kind.render_lines

    def noted(self: Any, crop: Region) -> list[Strip]:
        asked.append(crop)
        found: list[Strip] = plain(self, crop)
        return found

    monkeypatch.setattr(kind, "render_lines", noted)
