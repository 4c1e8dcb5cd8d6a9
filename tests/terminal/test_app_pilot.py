"""The app with a recorded fleet, driven by keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from podops.fleet.snapshot import FleetSnapshot
from podops_tui.actions import ACTIONS
from podops_tui.ansi import parse_line
from podops_tui.app import OpsApp
from podops_tui.demo_app import DemoApp
from podops_tui.screens.fleet import FleetScreen
from podops_tui.screens.help import HelpScreen
from podops_tui.screens.kill import KillScreen
from podops_tui.screens.run import RunScreen
from podops_tui.screens.submit import SubmitScreen
from podops_tui.widgets import log_view
from tests.terminal.recorded_fleet import CONFIG, recorded

SIZES = [(80, 24), (200, 60)]

#: How long a test waits for what the app shall draw or do, seconds: long enough for a machine that is slow and busy.
PATIENCE_S = 60.0


def drawn(app: App[Any]) -> str:
    """The characters on the screen."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


async def until_drawn(pilot: Pilot[None], app: App[Any], text: str) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        await pilot.pause(0.05)
        if text in (screen := drawn(app)):
            return screen
        assert time.monotonic() < deadline, f"{text!r} is not in:\n{screen}"


async def at_rest(pilot: Pilot[None]) -> None:
    """Let the app go on until nothing has been laid out for a while: the footer follows the focus a little later."""
    quiet, before = 0, object()
    while quiet < 5:
        await pilot.pause(0.05)
        # Made anew whenever something comes, goes or moves.
        now = pilot.app.screen._compositor.visible_widgets
        quiet = quiet + 1 if now is before and not pilot.app.screen._layout_required else 0
        before = now


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    """Let the app go on until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what} in:\n{drawn(pilot.app)}"
        await pilot.pause(0.02)


@pytest.mark.parametrize("log", [b"", b"\x1b[31mred\x1b[0m\n"])
async def test_every_screen_can_be_drawn_without_colours(monkeypatch: pytest.MonkeyPatch, log: bytes) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = OpsApp(CONFIG, fleet=recorded(log)[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        for keys in (
            "34521",
            ["enter", "2", "3", "escape"],
            ["2", "enter"],
            "234567",
            ["1", "/", "x", "enter", "escape"],
        ):
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
        for key, shown in (("x", "Kill"), ("s", "Submit a run"), ("question_mark", "Keys")):
            await pilot.press(key)
            await until_drawn(pilot, app, shown)
            await pilot.press("escape")
        assert app.is_running and app.no_color


async def test_an_app_that_is_taken_down_between_two_ticks_of_its_timers_ends_without_a_fault() -> None:
    class App(OpsApp):
        ticked = False

        async def on_unmount(self) -> None:
            # As a timer that was due: the screens are gone, and the app is not.
            assert not self.screen_stack
            await self._second()
            self._changed = True
            await self._redraw_changed()
            self.ticked = True

    app = App(CONFIG, fleet=recorded()[1])
    async with app.run_test() as pilot:
        await pilot.pause()
    assert app.ticked


async def test_ctrl_c_ends_nothing_and_names_the_key_that_leaves() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("ctrl+c")
        await until_drawn(pilot, app, "q leaves; runs go on")
        assert app.is_running and isinstance(app.screen, FleetScreen)


async def test_the_app_of_a_demo_says_that_leaving_it_ends_its_runs() -> None:
    app = DemoApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("ctrl+c")
        await until_drawn(pilot, app, "q leaves; the demo ends its runs")
        await pilot.press("question_mark")
        assert "runs go on" not in await until_drawn(pilot, app, "q  Leave; the demo ends its runs")
        told = {command.help for command in app.get_system_commands(app.screen)}
        told |= {active.tooltip for active in app.screen.active_bindings.values()}
        assert "Leave; the demo ends its runs" in told and "Leave; runs go on" not in told


async def test_what_is_typed_faster_than_the_app_draws_reaches_the_field_it_was_meant_for() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 40)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("s")
        await until_drawn(pilot, app, "Will run")
        for key in ("tab", "tab", *"lr=7"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until_drawn(pilot, app, "overrides lr=7")
        assert not isinstance(app.screen, FleetScreen)


async def test_what_is_typed_faster_than_a_field_opens_is_typed_into_it_and_ends_no_run() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 40)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        for key in ("slash", *"xyz"):
            app.post_message(Key(key, "/" if key == "slash" else key))
        await until_drawn(pilot, app, "newest · /xyz")
        assert app.screen.query_one("#filter", Input).value == "xyz" and isinstance(app.screen, FleetScreen)


async def test_a_filter_leaves_only_matching_runs_and_escape_brings_all_back() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("slash", *"oom", "enter")
        assert "✓ succeeded" not in await until_drawn(pilot, app, "Runs 1/4")
        await pilot.press("escape")
        await until_drawn(pilot, app, "Runs 4/4")


async def test_kill_names_the_run_and_does_nothing_unless_chosen() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("x")
        screen = await until_drawn(pilot, app, "End this run?")
        assert isinstance(app.screen, KillScreen)
        assert "train-small-20260101-aaaa" in screen and "on pod h100-a, running" in screen
        await pilot.press("enter")
        assert isinstance(app.screen, FleetScreen) and fleet.done == []
        await pilot.press("x", "right", "enter")
        await until(pilot, lambda: bool(fleet.done), "the kill")
        assert fleet.done == [("kill", "h100-a", "train-small-20260101-aaaa", "proj")]


async def test_read_only_offers_and_does_nothing_that_changes_a_pod() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("x", "s", "a", "r")
        for action in ACTIONS:
            if action.mutating:
                app.action_op(action.id)
        await pilot.pause()
        assert isinstance(app.screen, FleetScreen) and fleet.done == []
        assert "Kill" not in drawn(app)
        assert {"Kill", "Submit", "Attach", "Rerun"}.isdisjoint(c.title for c in app.get_system_commands(app.screen))


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
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("question_mark")
        screen = await until_drawn(pilot, app, "Show every key")
        assert isinstance(app.screen, HelpScreen)
        assert "Start a run from a preset" in screen
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)


async def test_attach_to_a_run_that_has_ended_says_so() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("end", "a")
        await until_drawn(pilot, app, "train-small-20260101-cccc has ended")
        assert app.is_running and isinstance(app.screen, FleetScreen)


async def test_every_pane_of_a_run_shows_what_its_pod_has_recorded() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 40)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("m")
        screen = await until_drawn(pilot, app, "loss by step")
        assert isinstance(app.screen, RunScreen)
        assert "0.576" in screen and "1190" in screen and "⣀" in screen
        for number, text in ("3", "H100"), ("4", "0123abc"), ("5", "#!/bin/bash"), ("6", "pid=4242"), ("7", "session"):
            await pilot.press(number)
            if number == "5":
                await until_drawn(pilot, app, "command.sh")
                await pilot.press("home")
            await until_drawn(pilot, app, text)


async def test_of_a_run_that_has_ended_nothing_more_is_waited_for() -> None:
    fleet, typed = recorded()
    del fleet.files["metrics.jsonl"]
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, app, "3 Log · following ─")
        await pilot.press("m")
        await until_drawn(pilot, app, "no metrics yet")
        await pilot.press("escape", "slash", *"succeeded", "enter")
        await until_drawn(pilot, app, "3 Log ─")
        await pilot.press("m")
        shown = await until_drawn(pilot, app, "the run has written no metrics ")
        assert "$OPS_METRICS_FILE" in shown and "metrics_pattern" in shown
        assert "metrics yet" not in shown


async def test_a_run_opens_on_the_whole_screen_with_its_command() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(160, 40)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("enter")
        await until_drawn(pilot, app, "python train.py --lr 0.001")
        assert isinstance(app.screen, RunScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)


async def test_marked_runs_are_named_and_killed_together() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(100, 30)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("space", "space", "space")
        await until_drawn(pilot, app, "3 marked")
        await pilot.press("x")
        screen = await until_drawn(pilot, app, "End these 2 runs?")
        assert "train-small-20260101-aaaa" in screen and "train-small-20260101-dddd" in screen
        assert "eval-big" not in "".join(line for line in screen.splitlines() if "on pod" in line)
        await pilot.press("y")
        await until(pilot, lambda: len(fleet.done) == 2, "both kills")
        assert [done[2] for done in fleet.done] == ["train-small-20260101-aaaa", "train-small-20260101-dddd"]
        await until(pilot, lambda: "marked" not in drawn(app), "the marks to go")


async def test_a_text_is_found_in_the_log_and_the_log_holds_still_there() -> None:
    log = b"".join(b"line %d of many\n" % number for number in range(300))
    app = OpsApp(CONFIG, fleet=recorded(log)[1])
    async with app.run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, app, "line 299 of many")
        await pilot.press("l", "slash", *"line 12", "enter")
        assert "held still" in await until_drawn(pilot, app, "line 129 of many")
        await pilot.press("N")
        await pilot.press(*["N"] * 9)
        await until_drawn(pilot, app, "line 12 of many")
        await pilot.press("n")
        await until_drawn(pilot, app, "line 120 of many")
        await pilot.press("f")
        await until_drawn(pilot, app, "line 299 of many")
        await pilot.press("escape")
        assert "/line 12" not in await until_drawn(pilot, app, "Log · following")


async def test_of_a_long_log_only_the_lines_in_view_are_parsed() -> None:
    log = b"".join(b"\x1b[32mline\x1b[0m %d of many\n" % number for number in range(20_000))
    app = OpsApp(CONFIG, fleet=recorded(log)[1])
    parse_line.cache_clear()
    async with app.run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, app, "line 19999 of many")
        assert parse_line.cache_info().misses < 200


async def test_a_line_of_a_log_is_drawn_because_it_came_not_when_somebody_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_view, "_LOOK_S", 3600.0)
    app = OpsApp(CONFIG, fleet=recorded(b"only line\n")[1])
    async with app.run_test(size=(120, 40)) as pilot:
        assert (await until_drawn(pilot, app, "only line")).count("only line") == 1


async def test_a_log_held_still_loses_no_line_that_was_read_and_follows_again_at_its_end() -> None:
    log = b"".join(b"line %d of many\n" % number for number in range(300))
    app = OpsApp(CONFIG, fleet=recorded(log)[1])
    async with app.run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, app, "line 299 of many")
        await pilot.press("l", "home")
        assert "held still" in await until_drawn(pilot, app, "line 0 of many")
        await pilot.press("G")
        assert "following" in await until_drawn(pilot, app, "line 299 of many")


async def test_an_empty_fleet_says_what_to_do() -> None:
    config = replace(CONFIG, pods={})
    app = OpsApp(config, fleet=recorded(snapshot=FleetSnapshot())[1])
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await until_drawn(pilot, app, "no runs yet: s submits one")
        assert "add one under `pods:`" in screen
        await pilot.press("x", "a", "m", "r", "y", "R", "enter", "space", "s")
        await until_drawn(pilot, app, "the project has no pods")


async def test_copy_gives_the_terminal_the_run_id() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("y")
        await until_drawn(pilot, app, "copied train-small-20260101-aaaa")
        assert app.clipboard == "train-small-20260101-aaaa"


async def test_rerun_opens_the_dialog_as_the_run_was_submitted() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(120, 36)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("r")
        screen = await until_drawn(pilot, app, "Submit a run")
        await until_drawn(pilot, app, "python train.py lr=0.01 max_iters=5000 'note=two words'")
        assert "lr=0.01 'note=two words'" in screen and "nightly" in screen
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(fleet.done), "the submit")
        assert fleet.done[0][:3] == ("submit", "train-small", "h100-a")
        assert fleet.done[0][4] != "train-small-20260101-aaaa"


async def test_a_taken_run_id_is_refused_unless_forced_and_never_while_it_runs() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("s", "tab", "home")
        app.screen.query_one("#run-id").focus()
        await pilot.press(*"train-small-20260101-aaaa")
        await until_drawn(pilot, app, "is running on h100-a")
        await pilot.press(*["backspace"] * 4, *"cccc")
        await until_drawn(pilot, app, "exists on h100-a (succeeded)")
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, SubmitScreen) and fleet.done == []
        app.screen.query_one("#force").focus()
        await pilot.press("space")
        await until_drawn(pilot, app, "/data/outputs/train-small-20260101-cccc")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(fleet.done), "the submit")
        assert fleet.done[0][4:] == ("train-small-20260101-cccc", True)


async def test_submit_shows_the_exact_command_and_faults_as_they_are_typed() -> None:
    fleet, typed = recorded()
    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("s")
        await until_drawn(pilot, app, "python train.py")
        assert isinstance(app.screen, SubmitScreen)
        await pilot.press("enter", "enter", *"nonsense")
        await pilot.pause()
        assert app.screen.submission is None and fleet.done == []
        await pilot.press(*["backspace"] * 8, "enter", "enter")
        await until(pilot, lambda: bool(fleet.done), "the submit")
        assert [done[:3] for done in fleet.done] == [("submit", "train-small", "cpu-1")]


async def test_a_locked_key_is_asked_for_in_a_dialog_that_shows_no_passphrase() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "Runs")
        asking = asyncio.create_task(app._ask_passphrase(Path("/home/me/.ssh/pod"), False))
        await until_drawn(pilot, app, "Passphrase for /home/me/.ssh/pod")
        await pilot.press(*"secret")
        assert "secret" not in drawn(app)
        await pilot.press("enter")
        assert await asking == "secret"
