"""A waiting run goes from one pod's queue to another's: it is never in both, and never in neither."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from podops.config.model import PresetConfig, ProjectConfig
from podops.errors import PodopsError, UnreachableError, UsageError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops.plan import QueuePlace, plan_submit
from podops.queue_move import move_run
from tests.pods.conftest import MakeSshPod
from tests.pods.fleet_config import fleet_config, pod_config, shows


@pytest.fixture
def config(client_home: Path, ssh_pod: MakeSshPod, tmux_socket: str) -> ProjectConfig:
    """Two pods: one with a GPU that is busy, one with two that are free."""
    pods = (replace(pod_config("full"), simulated_gpus=1), replace(pod_config(ssh_pod("empty")), simulated_gpus=2))
    preset = PresetConfig("p", "command", command="echo {overrides} in $PWD", overrides={"a": 1}, gpus=1, tags=("own",))
    return replace(fleet_config(*pods, tmux_socket=tmux_socket), presets={"p": preset})


@pytest.fixture
async def fleet(config: ProjectConfig) -> AsyncIterator[Fleet]:
    async with Fleet(config) as opened:
        await opened.settled(20)
        blocker = plan_submit(config, "p", "full", run_id="blocker")
        blocker.spec["command_parts"] = ["sleep 100"]
        await opened.submit(blocker)
        place = QueuePlace(priority=7)
        await opened.submit(
            plan_submit(config, "p", "full", run_id="r1", overrides=["a=2"], tags=["mine"], place=place)
        )
        yield opened
        await opened.kill("full", "blocker", grace_s=0.1)


async def waiting(fleet: Fleet) -> RunSnapshot:
    """The run as it waits on the full pod, which has looked at it."""
    pod = await shows(fleet, "full", lambda pod: "r1" in pod.runs and pod.runs["r1"].place == 1, "the waiting run")
    return pod.runs["r1"]


async def test_a_moved_run_is_gone_from_its_pod_and_starts_on_the_other_as_it_was_asked_for(
    fleet: Fleet, config: ProjectConfig
) -> None:
    assert await move_run(config, fleet, await waiting(fleet), "empty") == {"pod": "empty", "state": "starting"}
    await shows(fleet, "full", lambda pod: "r1" not in pod.runs, "its leaving")
    moved = (await shows(fleet, "empty", lambda pod: pod.runs["r1"].state == "succeeded", "its end")).runs["r1"]
    spec = (await fleet.run_records("empty", "r1"))["spec"]
    assert (moved.tags, spec["overrides"]["parsed"], spec["queue"]) == (("own", "mine"), {"a": 2}, {"priority": 7})
    assert len(moved.gpus) == 1


async def test_a_run_that_cannot_be_taken_by_the_other_pod_waits_where_it_was(
    fleet: Fleet, config: ProjectConfig
) -> None:
    run = await waiting(fleet)
    await fleet.submit(plan_submit(config, "p", "empty", run_id="r1"))
    with pytest.raises(PodopsError):
        await move_run(config, fleet, run, "empty")
    await shows(fleet, "full", lambda pod: pod.runs["r1"].state == "queued", "its place in the queue")
    with pytest.raises(UsageError, match="already"):
        await move_run(config, fleet, run, "full")


async def test_a_run_of_which_nobody_knows_where_it_is_starts_nowhere_by_itself(
    fleet: Fleet, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(*given: Any, **fields: Any) -> NoReturn:
        raise UnreachableError("pod empty did not confirm run r1", code="unconfirmed")

    run = await waiting(fleet)
    monkeypatch.setattr(fleet, "submit", no_answer)
    with pytest.raises(UnreachableError, match="is held on full"):
        await move_run(config, fleet, run, "empty")
    await shows(fleet, "full", lambda pod: pod.runs["r1"].state == "held", "the held run")
