"""Pods in the app with a recorded fleet: each in its state, why it is so, and what it has."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from podops.fleet.snapshot import DiskUsage, FleetSnapshot, GpuReport, HostSample, PodSnapshot
from podops_tui.app import OpsApp
from podops_tui.screens.fleet import FleetScreen
from podops_tui.screens.pod import PodScreen
from tests.terminal.recorded_fleet import CONFIG, recorded
from tests.terminal.test_app_pilot import SIZES, until_drawn


@pytest.mark.parametrize("size", SIZES)
async def test_pods_and_runs_are_listed_also_those_that_are_not_live(size: tuple[int, int]) -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=size) as pilot:
        screen = await until_drawn(pilot, app, "done")
    assert "connection timed out" in screen and "retry in" in screen
    assert "● running" in screen and "✗ failed" in screen and "train-small-2026" in screen
    assert "oom_gpu" in screen


def in_trouble() -> FleetSnapshot:
    """A pod in each state, with the longest reasons there are."""
    pods, now = dict(recorded()[0].snapshot.pods), time.time()
    quiet = replace(pods["h100-a"], name="quiet", state="stale", reason="silent for 7 s", last_seen=now - 7, runs={})
    late = "ssh: connect to host away.example.org port 22: Connection timed out after 10 s"
    why = "the host key of 203.0.113.7:30022 is not in known_hosts (/home/me/.ssh/known_hosts)"
    cure = "if you trust it: ssh-keyscan -p 30022 203.0.113.7 >> ~/.ssh/known_hosts"
    others = (
        quiet,
        PodSnapshot("new", "connecting", "ssh", "new"),
        PodSnapshot("away", "unreachable", "ssh", "away", reason=late, retry_at=now + 600, last_seen=now - 3600),
        PodSnapshot("gate", "refused", "ssh", "203.0.113.7", reason=why, hint=cure),
    )
    return FleetSnapshot(pods | {pod.name: pod for pod in others})


@pytest.mark.usefixtures("still_clock")
async def test_every_state_of_a_pod_is_told_with_its_age_its_reason_and_what_comes_next() -> None:
    app = OpsApp(CONFIG, fleet=recorded(snapshot=in_trouble())[1])
    async with app.run_test(size=(200, 60)) as pilot:
        screen = await until_drawn(pilot, app, "⊘ refused")
    for told in (
        r"h100-a +● live",
        r"quiet +◑ stale +silent for 7 s · seen 7s ago",
        r"new +◌ connecting +never seen",
        r"away +✗ unreachable +retry in 10m00s · ssh: connect to .* after 10 s · seen 1h00m ago",
        r"gate +⊘ refused +the host key of .* is not in known_hosts .* · if you trust it: ssh-keyscan -p 30022 203",
    ):
        assert re.search(told, screen), told


async def test_on_a_small_screen_no_pod_in_trouble_goes_unnoticed_and_its_own_screen_tells_all() -> None:
    app = OpsApp(CONFIG, fleet=recorded(snapshot=in_trouble())[1])
    async with app.run_test(size=(80, 24)) as pilot:
        await until_drawn(pilot, app, "1 Pods 7 · 4 not live")
        await pilot.press("1", "end")
        screen = await until_drawn(pilot, app, "⊘ refused")
        assert re.search(r"away +✗ unreachable retry in \d+m", screen)
        await pilot.press("enter")
        screen = await until_drawn(pilot, app, "press R when that is mended")
        told = re.sub(r"[\s│]+", "", screen)
        assert "knownhosts(/home" in told.replace("_", "") and "203.0.113.7>>~/.ssh/known_hosts" in told
        await pilot.press("escape", "1", "up", "enter")
        await until_drawn(pilot, app, "R tries at once")


async def test_a_pod_whose_volume_went_away_says_so_instead_of_looking_well() -> None:
    disks = (DiskUsage("/", 1, 2, read_only=True), DiskUsage("/mnt/runs/demo", 0, 0, error="No such file or directory"))
    pod = replace(recorded()[0].snapshot.pods["h100-a"], sample=HostSample(time.time(), disks=disks))
    app = OpsApp(CONFIG, fleet=recorded(snapshot=FleetSnapshot({"h100-a": pod}))[1])
    async with app.run_test(size=(100, 40)) as pilot:
        await until_drawn(pilot, app, "/mnt/runs/demo: No such file")


@pytest.mark.usefixtures("still_clock")
async def test_what_a_pod_said_that_is_not_live_is_shown_as_old() -> None:
    pods = dict(recorded()[0].snapshot.pods)
    lost = replace(pods["h100-a"], state="unreachable", reason="no route to host", last_seen=time.time() - 600)
    app = OpsApp(CONFIG, fleet=recorded(snapshot=FleetSnapshot({"h100-a": lost}))[1])
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await until_drawn(pilot, app, "no route to host")
        assert screen.count("as of 10m00s") == 2 and "oom_gpu" in screen
        await pilot.press("4")
        await until_drawn(pilot, app, "pod is unreachable: as of 10m00s")


async def test_a_pod_opens_on_the_whole_screen_with_its_host_and_runs() -> None:
    app = OpsApp(CONFIG, fleet=recorded()[1])
    async with app.run_test(size=(100, 40)) as pilot:
        await until_drawn(pilot, app, "2 Runs")
        await pilot.press("1", "home", "enter")
        screen = await until_drawn(pilot, app, "node-7")
        assert isinstance(app.screen, PodScreen)
        assert "eval-big-2026" in screen and "H100" in screen and "200 GiB of 512 GiB" in screen
        await pilot.press("enter")
        await until_drawn(pilot, app, "6 Events")
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, FleetScreen)


@pytest.mark.parametrize(
    ("report", "in_the_list", "in_the_pane"),
    [
        (GpuReport(message="no NVIDIA driver on this pod"), r"h100-a +● live +no GPU", "no GPU: no NVIDIA driver"),
        (None, r"h100-a +● live +0/2 free SIMULATED", "h100-a  SIMULATED"),
    ],
    ids=["none", "simulated"],
)
async def test_gpus_that_are_none_are_told_as_such_in_the_list_and_in_the_pane(
    report: GpuReport | None, in_the_list: str, in_the_pane: str
) -> None:
    pod = recorded()[0].snapshot.pods["h100-a"]
    pod = replace(pod, gpus=report or replace(pod.gpus, source="simulated"))
    app = OpsApp(CONFIG, fleet=recorded(snapshot=FleetSnapshot({"h100-a": pod}))[1])
    async with app.run_test(size=(80, 24)) as pilot:
        assert re.search(in_the_list, await until_drawn(pilot, app, "● live"))
        await pilot.press("g")
        await until_drawn(pilot, app, in_the_pane)


async def test_while_a_pod_is_away_its_log_and_its_heartbeat_say_so_and_how_old_they_are() -> None:
    fleet, typed = recorded()
    pod = fleet.snapshot.pods["h100-a"]
    # Both moments are of one reading of the clocks: the ages below are between them, however long drawing takes.
    told_at, seen_at = time.monotonic() - 310, time.time() - 300
    run = replace(pod.runs["train-small-20260101-aaaa"], heartbeat_age_s=1.5, log_age_s=2.5, received_at=told_at)

    def turn(told: PodSnapshot) -> None:
        fleet.snapshot = FleetSnapshot({told.name: replace(told, runs={run.run_id: run})})
        app._changed = True

    app = OpsApp(CONFIG, fleet=typed)
    async with app.run_test(size=(160, 40)) as pilot:
        turn(pod)
        assert "· pod is" not in await until_drawn(pilot, app, "beat 5m")
        turn(replace(pod, state="unreachable", last_seen=seen_at))
        assert "beat 11s ago · log 12s ago" in await until_drawn(pilot, app, "Log · following · pod is unreachable")
        ages: set[str] = set()
        for _ in range(100):
            screen = await until_drawn(pilot, app, "pod is unreachable: as of ")
            ages |= set(re.findall(r"pod is unreachable: as of (\w+) ago", screen))
            assert "beat 11s ago" in screen
            if len(ages) > 1:
                break
        assert len(ages) > 1
        turn(replace(pod, last_seen=time.time()))
        assert "pod is" not in await until_drawn(pilot, app, "3 Log · following ─")
