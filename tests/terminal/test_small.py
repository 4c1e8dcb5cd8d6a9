"""The app on terminals with few lines and columns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList

from podops_tui.app import OpsApp
from podops_tui.screens.passphrase import PassphraseScreen
from podops_tui.widgets.runs_table import RunsTable
from tests.terminal.recorded_fleet import CONFIG, recorded
from tests.terminal.recorded_queue import recorded_busy
from tests.terminal.test_app_pilot import drawn, until, until_drawn

SMALL = [(40, 6), (40, 10), (40, 12), (80, 12), (80, 24)]


def whole(*widgets: Widget) -> bool:
    return all(map(_is_whole, widgets))


def _is_whole(widget: Widget) -> bool:
    """Whether nothing of `widget` is cut off by the screen or by what it lies in."""
    region = widget.region
    around = [one.content_region for one in widget.ancestors if isinstance(one, Widget)]
    return region.area > 0 and all(one.contains_region(region) for one in [*around, widget.screen.region])


@pytest.mark.parametrize("size", [(30, 10), *SMALL])
@pytest.mark.parametrize("marked", [0, 3])
async def test_the_answers_to_whether_runs_shall_end_are_never_out_of_sight(size: tuple[int, int], marked: int) -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=size) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press(*["space"] * marked, "x")
        shown = await until_drawn(pilot, app, "No (n)")
        assert whole(*app.screen.query(Button)), shown
        assert "(y)" in shown and app.screen.query_one("#no").has_focus
        if marked and size[1] < 12:
            await pilot.press(*["j"] * 20)
            assert "SIGKILL" in await until_drawn(pilot, app, "SIGKILL") and "(y)" in drawn(app)
        await pilot.press("enter")
        await pilot.pause()
        assert not fleet.done


async def test_at_40_columns_the_button_that_ends_a_run_says_so() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(40, 12)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("x")
        assert "No (n)" in await until_drawn(pilot, app, "End the run (y)")


@pytest.mark.parametrize("size", SMALL)
async def test_what_is_chosen_or_typed_in_a_question_is_in_sight(size: tuple[int, int]) -> None:
    app = OpsApp(CONFIG, fleet=recorded_busy()[1])
    async with app.run_test(size=size) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("home", "M")
        await until_drawn(pilot, app, "Move this")
        assert whole(app.screen.query_one(OptionList)), drawn(app)
        await pilot.press("escape", "s")
        await until_drawn(pilot, app, "Submit a run")
        await until(
            pilot, lambda: whole(*app.screen.query("#submit, #cancel, #force")), "what is chosen to be in sight"
        )
        app.screen.query_one("#after").focus()
        await pilot.press("enter")
        await until_drawn(pilot, app, "AFTER ITS")
        assert whole(app.screen.query_one("#parents")), drawn(app)


@pytest.mark.parametrize("size", SMALL)
async def test_a_passphrase_is_typed_where_one_sees_it(size: tuple[int, int]) -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=size) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        key = Path("/home/somebody/with/a/long/name/.ssh/keys/of/all/the/pods/id_ed25519")
        await app.push_screen(PassphraseScreen(key, again=True))
        await until_drawn(pilot, app, "That did not")
        assert whole(app.screen.query_one(Input)), drawn(app)


@pytest.mark.parametrize("size", [(40, 8), (40, 10), (40, 12), (80, 12), (80, 14)])
async def test_what_is_looked_for_is_in_sight_while_it_is_typed(size: tuple[int, int]) -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])

    def searched() -> bool:
        fields = list(app.screen.query("#search").results(Input))
        return bool(fields) and fields[0].value == "loss" and whole(fields[0])

    async with app.run_test(size=size) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("slash", *"oom")
        await until_drawn(pilot, app, "Runs 1/4")
        assert whole(app.screen.query_one("#filter", Input), app.screen.query_one("#runs")), drawn(app)
        assert not app.screen.max_scroll_y
        await pilot.press("enter", "escape", "3")
        await until_drawn(pilot, app, "loss 0.52")
        await pilot.press("slash", *"loss")
        await until(pilot, searched, "the field to be in sight")
        await pilot.press("enter")
        await until_drawn(pilot, app, "held still")
        await pilot.press("escape", "2")
        await until_drawn(pilot, app, "2 Runs 4/4")
        await pilot.press("enter", "slash", *"loss")
        await until(pilot, searched, "the field of a run's own screen to be in sight")


async def test_at_40_columns_a_run_tells_its_time() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(40, 24)) as pilot:
        rows = (await until_drawn(pilot, app, "2 Runs")).splitlines()
        times = [row for row in rows if "succeeded" in row or "running" in row]
        assert times and all(re.search(r" \d+[smhd]", row) for row in times), rows


async def test_a_terminal_that_was_low_for_a_while_shows_the_newest_run_again() -> None:
    app = OpsApp(CONFIG, fleet=recorded_busy()[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("home", *["j"] * 4)
        runs = app.screen.query_one("#runs", RunsTable)
        for rows in (10, 24, 12, 8, 24):
            await pilot.resize_terminal(80, rows)
            await until(
                pilot,
                lambda rows=rows: (  # type: ignore[misc]
                    app.screen.size.height == rows
                    and runs.selected in runs.in_view
                    and (runs.items[0] in runs.in_view) == (rows == 24)
                ),
                f"the chosen run in {rows} rows",
            )
        await pilot.press("end")
        await pilot.resize_terminal(80, 10)
        await pilot.resize_terminal(80, 24)
        await until(
            pilot,
            lambda: runs.items[-1] in runs.in_view and len(runs.in_view) == runs.size.height - 1,
            "the last runs, as many as there is room for",
        )


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_notice_lies_over_a_line_of_frame_and_hides_no_line_of_a_list_or_a_log(size: tuple[int, int]) -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=size, notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        for keys in ("2", ["enter"], ["escape", "1", "enter"]):
            await pilot.press(*keys)
            await pilot.pause()
            await pilot.press("y")
            shown = await until_drawn(pilot, app, "copied")
            assert [line[0] for line in shown.splitlines() if "copied" in line] == ["╭"], shown
            app.clear_notifications()
