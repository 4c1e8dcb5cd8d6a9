"""The place in a log that somebody looks at stays in view, however the log is shown."""

from __future__ import annotations

import pytest

from podops.fleet.fleet import Fleet
from podops_tui.app import OpsApp
from podops_tui.colours import ANSI
from podops_tui.widgets.log_view import LogView
from tests.terminal.recorded_fleet import CONFIG
from tests.terminal.test_app_pilot import drawn, until, until_drawn
from tests.terminal.typed_log import TypedLog


@pytest.fixture
def log() -> TypedLog:
    found = TypedLog()
    for number in range(300):
        # As wide as two or three rows.
        found.type(f"line {number:03} " + "x" * (100 + number % 3 * 60) + f" end {number:03}")
    return found


async def test_a_log_that_is_held_still_keeps_its_first_line_when_lines_are_wrapped_and_cut_again(fleet: Fleet) -> None:
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "line 299")
        await pilot.press("3", *["pageup"] * 9)
        shown = await until_drawn(pilot, app, "held still")
        first = shown[shown.index("line ") :][:8]
        for title in ("held still (f follows) · wrap ─", "held still (f follows) ─"):
            await pilot.press("w")
            again = await until_drawn(pilot, app, title)
            assert again[again.index("line ") :][:8] == first
        await pilot.press("w")
        await pilot.resize_terminal(60, 24)
        view = app.screen.query_one(LogView)
        await until(pilot, lambda: view.size.width < 60, "the narrow screen")
        again = await until_drawn(pilot, app, "held still")
        assert again[again.index("line ") :][:8] == first


async def test_a_match_is_in_view_also_beyond_the_right_edge_and_when_lines_are_wrapped(fleet: Fleet) -> None:
    app = OpsApp(CONFIG, fleet=fleet)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "line 299")
        await pilot.press("3", "slash", *"end 123", "enter")
        assert "line 123" not in await until_drawn(pilot, app, "end 123 ")
        await pilot.press("w")
        await until_drawn(pilot, app, "line 123")
        assert "end 123" in drawn(app)
        await pilot.press("w")
        shown = await until_drawn(pilot, app, "held still (f follows) · /end 123 ·")
        assert "end 123" in shown and "line 123" not in shown
        await pilot.press("f")
        await until_drawn(pilot, app, "line 299")


def test_no_two_colours_of_a_terminal_are_drawn_alike() -> None:
    colours = [ANSI.ansi_colors[number] for number in range(16)]
    distances = [
        sum(abs(one - other) for one, other in zip(first, second, strict=True))
        for place, first in enumerate(colours)
        for second in colours[:place]
    ]
    assert min(distances) > 60
