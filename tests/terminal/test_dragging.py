"""Selecting lines of a log with the mouse, on the smallest screen there is."""

from __future__ import annotations

import pytest
from textual import events
from textual.geometry import Offset
from textual.pilot import Pilot

from podops_tui.app import OpsApp
from podops_tui.widgets.log_view import LogView
from podops_tui.widgets.scroll_thumb import thumb
from tests.terminal.recorded_fleet import CONFIG, recorded
from tests.terminal.test_app_pilot import until, until_drawn
from tests.terminal.typed_log import TypedLog, fleet_with

LOG = b"".join(b"this is line %03d\n" % number for number in range(200))


class Mouse:
    """One that is pressed at `place` of the screen and dragged from there."""

    def __init__(self, pilot: Pilot[None], place: Offset) -> None:
        self._pilot = pilot
        self._place = place

    async def press(self) -> None:
        self._send(events.MouseDown, self._place, Offset())
        await self._pilot.pause()

    async def drag_to(self, place: Offset) -> None:
        """Over every row between, as a hand does."""
        while self._place != place:
            dx, dy = place - self._place
            step = Offset((dx > 0) - (dx < 0), (dy > 0) - (dy < 0)) if dy else Offset(dx, 0)
            self._place += step
            self._send(events.MouseMove, self._place, step)
            await self._pilot.pause(0.02)

    async def release(self) -> None:
        self._send(events.MouseUp, self._place, Offset())
        await self._pilot.pause()

    def _send(self, kind: type[events.MouseEvent], place: Offset, step: Offset) -> None:
        self._pilot.app.mouse_position = place
        self._pilot.app.screen._forward_event(kind(None, *place, *step, 1, False, False, False))


def lines(first: int, last: int) -> str:
    return "\n".join(f"this is line {number:03d}" for number in range(first, last + 1))


async def test_a_drag_selects_the_lines_it_goes_over_and_scrolls_the_log_from_beyond_its_edge_only() -> None:
    app = OpsApp(CONFIG, fleet=recorded(LOG)[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "this is line 199")
        view = app.screen.query_one(LogView)
        await pilot.press("3", *["up"] * 50)
        region, top = view.scrollable_content_region, view.scroll_offset.y
        assert region.height <= 8 and top > 0
        mouse = Mouse(pilot, Offset(region.x, region.y + 2))
        await mouse.press()
        await mouse.drag_to(Offset(region.x + 15, region.bottom - 1))
        await mouse.drag_to(Offset(region.x, region.y))
        await mouse.drag_to(Offset(region.x + 15, region.bottom - 1))
        await pilot.pause(0.2)
        assert view.scroll_offset.y == top
        assert app.screen.get_selected_text() == lines(top + 2, top + region.height - 1)
        await mouse.drag_to(Offset(region.x + 15, region.bottom))
        await until(pilot, lambda: view.scroll_offset.y >= top + 3, "the log to scroll")
        await mouse.drag_to(Offset(region.x + 15, region.bottom - 1))
        end = view.scroll_offset.y
        await mouse.release()
        assert end >= top + 3 and app.screen.get_selected_text() == lines(top + 2, end + region.height - 1)


async def test_a_drag_that_leaves_the_log_selects_nothing_but_lines_of_the_log() -> None:
    app = OpsApp(CONFIG, fleet=recorded(LOG)[1])
    async with app.run_test(size=(200, 60)) as pilot:
        await until_drawn(pilot, app, "this is line 199")
        view = app.screen.query_one(LogView)
        region, top = view.scrollable_content_region, view.scroll_offset.y
        mouse = Mouse(pilot, Offset(region.x, region.y + 3))
        await mouse.press()
        await mouse.drag_to(Offset(190, region.y + 5))
        await mouse.release()
        assert app.screen.get_selected_text() == lines(top + 3, top + 5)
        assert list(app.screen.selections) == [view]


@pytest.mark.parametrize("lines_of_log", [40, 2000])
async def test_a_drag_of_the_scroll_bar_to_its_end_follows_the_log_again_however_quick(
    lines_of_log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = TypedLog()
    for number in range(lines_of_log):
        log.type(f"line {number:04}")
    app = OpsApp(CONFIG, fleet=fleet_with(log, monkeypatch))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, f"line {lines_of_log - 1:04}")
        view = app.screen.query_one(LogView)
        await until(pilot, lambda: view.vertical_scrollbar.region.height > 0, "its scroll bar")
        bar = view.vertical_scrollbar.region
        for held in range(3):
            await pilot.press("3", *["up"] * (3 + held * 5))
            await until_drawn(pilot, app, "held still")
            first, last = thumb(bar.height, view.size.height, lines_of_log, view.scroll_y)
            mouse = Mouse(pilot, Offset(bar.x, bar.y + (first if held % 2 else last - 1)))
            await mouse.press()
            await mouse.drag_to(Offset(bar.x, bar.y))
            await pilot.pause(0.1 * held)
            assert not view.follow
            log.type("one more")
            await mouse.drag_to(Offset(bar.x, bar.bottom - 1))
            await mouse.release()
            at_end = f"the end to be followed, round {held}"
            await until(pilot, lambda: view.follow and view.scroll_offset.y == view.max_scroll_y, at_end)
            lines_of_log += 1
