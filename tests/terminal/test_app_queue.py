"""The app with runs that wait, fail and are tried again: what it shows, and what it does to the queue."""

from __future__ import annotations

import pytest

from podops_tui.app import OpsApp
from podops_tui.screens.fleet import FleetScreen
from podops_tui.screens.move import MoveScreen
from podops_tui.screens.run import RunScreen
from tests.terminal.recorded_fleet import CONFIG, RecordedFleet, recorded
from tests.terminal.recorded_queue import recorded_busy
from tests.terminal.test_app_pilot import SIZES, until, until_drawn


def busy_app(*, read_only: bool = False) -> tuple[RecordedFleet, OpsApp]:
    fleet, typed = recorded_busy()
    return fleet, OpsApp(CONFIG, fleet=typed, read_only=read_only)


def row(screen: str, run_id: str) -> str:
    return next(line for line in screen.splitlines() if run_id in line)


@pytest.mark.parametrize("size", SIZES)
async def test_ordered_by_the_queue_what_waits_comes_first_in_its_order(size: tuple[int, int]) -> None:
    _, app = busy_app()
    async with app.run_test(size=size) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("o", "home")
        screen = await until_drawn(pilot, app, "· queue")
    names = ("sweep-lr-4 ", "sweep-lr-5 ", "eval-lr-4 ", "sweep-lr-6 ")
    places = [screen.index(f" {name}") for name in names]
    assert places == sorted(places)
    assert "#1" in row(screen, "sweep-lr-4 ") and "4 GPUs: 0 of 4 free" in row(screen, "sweep-lr-4 ")
    assert "4 waiting" in screen


@pytest.mark.usefixtures("still_clock")
async def test_each_trouble_of_a_run_can_be_seen_in_the_list() -> None:
    _, app = busy_app()
    async with app.run_test(size=(160, 60)) as pilot:
        screen = await until_drawn(pilot, app, "train-wide")
    for run_id, mark, words in (
        ("sweep-lr-2", "◔ starting", "attempt 2/3 in "),
        ("sweep-lr-2", "◔ starting", "after nccl"),
        ("sweep-lr-1", "● running", "attempt 2/3"),
        ("train-stuck", "◍ running", "stalled 31m"),
        ("serve-ill", "◍ running", "unhealthy"),
        ("serve-new", "◔ running", "loading"),
        ("serve-qwen", "● running", "ready"),
        ("train-gone", "? lost", "pod_lost: its pod was rebooted while it ran"),
        ("sweep-lr-3", "✗ failed", "oom_gpu: CUDA out of memory"),
        ("sweep-lr-6", "◌ held", "waits for its release"),
    ):
        assert mark in row(screen, run_id) and words in row(screen, run_id)


async def test_a_failed_run_shows_its_evidence_and_its_attempts() -> None:
    _, app = busy_app()
    async with app.run_test(size=(200, 60)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("slash", *"oom_gpu", "enter", "enter")
        screen = await until_drawn(pilot, app, "/root/work/train.py:212 in step")
        assert isinstance(app.screen, RunScreen)
    assert "log at byte 81,234" in screen and "1 ✗ nccl 10m00s  NCCL timed out" in screen


@pytest.mark.usefixtures("still_clock")
async def test_a_waiting_run_shows_its_place_what_for_and_since_when() -> None:
    _, app = busy_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("slash", *"sweep-lr-4", "enter", "enter", "7")
        screen = await until_drawn(pilot, app, "1 in the queue of h100-a")
    assert "waits for 4 GPUs: 0 of 4 free" in screen and "1h01m" in screen and "priority 5" in screen.replace("  ", "")


def choose(app: OpsApp, *names: str) -> None:
    """Mark these runs."""
    screen = app.screen
    assert isinstance(screen, FleetScreen)
    table = screen.query_one("#runs")
    table.marked = {("proj", name) for name in names}  # type: ignore[attr-defined]


async def test_marked_runs_are_held_released_and_given_a_priority_each_where_it_makes_sense() -> None:
    fleet, app = busy_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        choose(app, "sweep-lr-4", "sweep-lr-5", "sweep-lr-6", "train-wide")
        await pilot.press("h")
        await until_drawn(pilot, app, "2 runs: held")
        await pilot.press("H")
        await until_drawn(pilot, app, "sweep-lr-6: released")
        assert sorted(fleet.done) == [
            ("hold", "h100-a", "sweep-lr-4"), ("hold", "h100-a", "sweep-lr-5"), ("release", "h100-a", "sweep-lr-6"),
        ]  # fmt: skip
        fleet.done.clear()
        await pilot.press("+", "-")
        await until_drawn(pilot, app, "3 runs: priority down by one")
        assert {done[2:] for done in fleet.done} == {
            *(("sweep-lr-4", value) for value in (6, 4)),
            *((run_id, value) for run_id in ("sweep-lr-5", "sweep-lr-6") for value in (1, -1)),
        }


async def test_a_run_that_does_not_wait_is_left_alone_and_the_user_is_told() -> None:
    fleet, app = busy_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        choose(app, "train-wide")
        await pilot.press("h", "plus", "M")
        await until_drawn(pilot, app, "train-wide is running, not waiting in a queue")
        assert fleet.done == [] and isinstance(app.screen, FleetScreen)


async def test_a_run_that_has_not_started_cannot_be_attached_to_and_the_user_is_told_why() -> None:
    _, app = busy_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("slash", *"sweep-lr-6", "enter", "a")
        await until_drawn(pilot, app, "sweep-lr-6 has not started: waits for its release")
        assert app.is_running and isinstance(app.screen, FleetScreen)


async def test_runs_that_have_ended_cannot_be_ended_and_as_many_as_were_chosen_are_told_of() -> None:
    fleet, app = busy_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        choose(app, "train-old")
        await pilot.press("x")
        await until_drawn(pilot, app, "that run has ended")
        choose(app, "train-old", "sweep-lr-3")
        await pilot.press("x")
        await until_drawn(pilot, app, "those runs have ended")
        assert fleet.done == [] and isinstance(app.screen, FleetScreen)


async def test_cancelling_a_waiting_run_asks_in_its_own_words() -> None:
    fleet, app = busy_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        choose(app, "sweep-lr-5")
        await pilot.press("x")
        screen = await until_drawn(pilot, app, "Cancel this run?")
        assert "It has not started; it leaves the queue and will not run." in screen and "SIGINT" not in screen
        await pilot.press("enter")
        assert fleet.done == []
        choose(app, "sweep-lr-5", "train-wide")
        await pilot.press("x")
        screen = await until_drawn(pilot, app, "End these 2 runs?")
        assert "Those that run get" in screen and "End them all (y)" in screen
        await pilot.press("y")
        await until(pilot, lambda: len(fleet.done) == 2, "both kills")
        assert sorted(done[:3] for done in fleet.done) == [
            ("kill", "h100-a", "sweep-lr-5"),
            ("kill", "h100-a", "train-wide"),
        ]


async def test_a_waiting_run_is_moved_to_the_pod_that_is_chosen() -> None:
    fleet, app = busy_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        choose(app, "sweep-lr-5")
        await pilot.press("M")
        screen = await until_drawn(pilot, app, "Move this run to")
        assert isinstance(app.screen, MoveScreen)
        assert "4 of 4 GPUs free" in screen and "queued on h100-a" in screen
        await pilot.press("escape")
        await pilot.pause()
        assert fleet.done == []
        await pilot.press("M", "enter")
        await until_drawn(pilot, app, "2 Runs")
        await until(pilot, lambda: len(fleet.done) == 3, "the move")
        assert [done[0] for done in fleet.done] == ["move", "submit", "take"]
        assert fleet.done[1][2] == "h100-b" and fleet.done[1][4] == "sweep-lr-5"


async def test_read_only_has_no_key_and_no_command_for_the_queue() -> None:
    fleet, app = busy_app(read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        choose(app, "sweep-lr-5")
        await pilot.press("h", "H", "plus", "minus", "M", "x")
        await pilot.pause()
        assert isinstance(app.screen, FleetScreen) and fleet.done == []
        commands = {command.title for command in app.get_system_commands(app.screen)}
        assert commands.isdisjoint({"Hold", "Release", "Sooner", "Later", "Move", "Kill"})
        await pilot.press("question_mark")
        assert "queue" not in await until_drawn(pilot, app, "Show only runs")


async def test_every_character_of_a_wrapped_line_is_shown_beside_the_scroll_bar() -> None:
    log = b"".join(b"<%s>\n" % (b"%04d" % number * 40) for number in range(40))
    app = OpsApp(CONFIG, fleet=recorded(log)[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "0039")
        await pilot.press("l", "w")
        screen = await until_drawn(pilot, app, "wrap")
    rows = [line.strip("│ ▁▂▃▄▅▆▇█") for line in screen.split("3 Log")[1].splitlines()]
    assert "<" + "0039" * 40 + ">" in "".join(rows)


async def test_the_dialog_says_whether_a_run_would_start_at_once_and_why_not() -> None:
    fleet, app = busy_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("s")
        await until_drawn(pilot, app, "▶ starts at once and claims no GPU")
        app.screen.query_one("#gpus").focus()
        await pilot.press("2")
        await until_drawn(pilot, app, "▶ starts at once on 2 GPUs")
        await pilot.press("backspace", "9")
        await until_drawn(pilot, app, "✗ the pod will refuse it: needs 9 GPUs, the pod has 4")
        app.screen.query_one("#pod").focus()
        await pilot.press("home")
        app.screen.query_one("#gpus").focus()
        await pilot.press("backspace", "1")
        await until_drawn(pilot, app, "◌ goes into the queue: waits for 1 GPU: 0 of 4 free")
        app.screen.query_one("#start").focus()
        await pilot.press(*"2x")
        await until_drawn(pilot, app, "start: '2x' is no time")
        await pilot.press("backspace", *"h")
        await until_drawn(pilot, app, "◌ goes into the queue: not before ")
        app.screen.query_one("#hold").focus()
        await pilot.press("space")
        await until_drawn(pilot, app, "◌ goes into the queue: held until it is released")
        app.screen.query_one("#priority").focus()
        await pilot.press(*"2000")
        await until_drawn(pilot, app, "it lies between -1000 and 1000")
        await pilot.press("backspace", "backspace", "ctrl+s")
        await until(pilot, lambda: bool(fleet.specs), "the submit")
    place = fleet.specs[0]["queue"]
    assert (place["priority"], place["delay_s"], place["hold"]) == (20, 7200.0, True)
    assert fleet.specs[0]["gpus"] == {"count": 1} and fleet.specs[0]["pod"] == "h100-a"


async def test_the_runs_to_come_after_are_picked_from_those_of_the_pod() -> None:
    fleet, app = busy_app()
    fleet.answer = {"state": "queued", "why": "waits for run sweep-lr-6"}
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("s")
        await until_drawn(pilot, app, "Submit a run")
        app.screen.query_one("#pod").focus()
        await pilot.press("home")
        app.screen.query_one("#after").focus()
        await pilot.press("enter")
        screen = await until_drawn(pilot, app, "Start after")
        assert "train-old" not in screen.split("Start after")[1], "it has ended"
        await pilot.press("home", "space", "down", "space", "space", "enter")
        await until_drawn(pilot, app, "sweep-lr-6, sweep-lr-5 (any end)")
        await until_drawn(pilot, app, "waits for run sweep-lr-6, which is held")
        app.screen.query_one("#pod").focus()
        await pilot.press("end")
        await until_drawn(pilot, app, "run sweep-lr-6 is not on cpu-1")
        await pilot.press("home", "ctrl+s")
        await until_drawn(pilot, app, "queued on h100-a")
    place = fleet.specs[0]["queue"]
    assert (place["after"], place["after_any"]) == (["sweep-lr-6"], ["sweep-lr-5"])


async def test_a_submitted_run_that_can_never_start_is_told_as_that() -> None:
    fleet, app = busy_app()
    fleet.answer = {"state": "failed", "why": "run h1, which it comes after, was cancelled: user_kill"}
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("s")
        await until_drawn(pilot, app, "Submit a run")
        await pilot.press("ctrl+s")
        screen = await until_drawn(pilot, app, "has ended already on h100-b: run h1")
        assert "started 2" not in screen
