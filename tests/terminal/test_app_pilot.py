"""The app with a recorded fleet, driven by keys."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from podops_tui.app import OpsApp
from podops_tui.screens.fleet import FleetScreen
from podops_tui.screens.help import HelpScreen
from podops_tui.screens.kill import KillScreen
from podops_tui.screens.run import RunScreen
from podops_tui.screens.submit import SubmitScreen
from tests.terminal.recorded_fleet import CONFIG, recorded

SIZES = [(80, 24), (200, 60)]


def drawn(app: OpsApp) -> str:
    """The characters on the screen."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


async def until_drawn(pilot: Pilot[None], app: OpsApp, text: str) -> str:
    for _ in range(100):
        await pilot.pause(0.05)
        if text in drawn(app):
            return drawn(app)
    raise AssertionError(f"{text!r} is not in:\n{drawn(app)}")


@pytest.mark.parametrize("size", SIZES)
async def test_pods_and_runs_are_listed_also_those_that_are_not_live(size: tuple[int, int]) -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=size) as pilot:
        screen = await until_drawn(pilot, app, "done")
    assert "connection timed out" in screen and "retry in" in screen
    assert "● running" in screen and "✗ failed" in screen and "train-small-2026" in screen
    assert "oom_gpu" in screen


async def test_a_filter_leaves_only_matching_runs_and_escape_brings_all_back() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"oom", "enter")
        assert "✓ succeeded" not in await until_drawn(pilot, app, "Runs 1/3")
        await pilot.press("escape")
        await until_drawn(pilot, app, "Runs 3/3")


async def test_kill_names_the_run_and_does_nothing_unless_chosen() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("x")
        screen = await until_drawn(pilot, app, "End this run?")
        assert isinstance(app.screen, KillScreen)
        assert "train-small-20260101-aaaa" in screen and "on pod h100-a, running" in screen
        await pilot.press("enter")
        assert isinstance(app.screen, FleetScreen) and fleet.done == []
        await pilot.press("x", "right", "enter")
        await pilot.pause()
        assert fleet.done == [("kill", "h100-a", "train-small-20260101-aaaa", "proj")]


async def test_read_only_offers_and_does_nothing_that_changes_a_pod() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("x", "s", "a")
        app.action_op("kill")
        await pilot.pause()
        assert isinstance(app.screen, FleetScreen) and fleet.done == []
        assert "Kill" not in drawn(app)
        assert {"Kill", "Submit", "Attach"}.isdisjoint(c.title for c in app.get_system_commands(app.screen))


async def test_a_hostile_log_line_is_text_and_nothing_else() -> None:
    hostile = b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m [bold]b[/bold] \xe2\x80\xaetxt\x9b5n \x1bPq#\x1b\\end\nlast\n"
    app = OpsApp(CONFIG, fleet=recorded(hostile)[1])
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await until_drawn(pilot, app, "last")
    assert "red [bold]b[/bold] txt" in screen
    assert "owned" not in screen
    assert not any(c in screen for c in "\x1b\x07\x9b\u202e")


async def test_help_shows_every_key_from_the_table() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(80, 40)) as pilot:
        await pilot.press("question_mark")
        screen = await until_drawn(pilot, app, "Show every key")
        assert isinstance(app.screen, HelpScreen)
        assert "Start a run from a preset" in screen
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)


async def test_a_run_opens_on_the_whole_screen_with_its_command() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("enter")
        await until_drawn(pilot, app, "python train.py --lr 0.001")
        assert isinstance(app.screen, RunScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)


async def test_submit_shows_the_exact_command_and_faults_as_they_are_typed() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("s")
        await until_drawn(pilot, app, "python train.py")
        assert isinstance(app.screen, SubmitScreen)
        await pilot.press("enter", "enter", *"nonsense")
        await pilot.pause()
        assert app.screen.plan is None and fleet.done == []
        await pilot.press(*["backspace"] * 8, "enter", "enter")
        await pilot.pause()
        assert [done[:3] for done in fleet.done] == [("submit", "train-small", "h100-a")]
