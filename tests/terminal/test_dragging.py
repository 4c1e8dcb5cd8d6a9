"""Selecting lines of a log with the mouse, on the smallest screen there is."""

from __future__ import annotations

from textual import events
from textual.geometry import Offset
from textual.pilot import Pilot

from podops_tui.app import OpsApp
from podops_tui.widgets.log_view import LogView
from tests.terminal.recorded_fleet import CONFIG, recorded
from tests.terminal.test_app_pilot import until_drawn

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
        for _ in range(100):
            await pilot.pause(0.05)
            if view.scroll_offset.y >= top + 3:
                break
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
