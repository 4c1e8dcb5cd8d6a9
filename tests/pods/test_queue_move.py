"""A waiting run goes from one pod's queue to another's: it is never in both, and never in neither."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from podops.config.model import PresetConfig, ProjectConfig
from podops.errors import PodopsError, RefusedActionError, UnreachableError, UsageError
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


async def test_a_run_that_others_come_after_is_not_taken_from_them(fleet: Fleet, config: ProjectConfig) -> None:
    run = await waiting(fleet)
    await fleet.submit(plan_submit(config, "p", "full", run_id="r2", place=QueuePlace(after=("r1",))))
    await shows(fleet, "full", lambda pod: "r2" in pod.runs, "the run that comes after")
    with pytest.raises(RefusedActionError, match="r2 on full would wait for run r1 in vain"):
        await move_run(config, fleet, run, "empty")
    await fleet.queue("full", "r2", "cancel")
    await shows(fleet, "full", lambda pod: pod.runs["r2"].ended, "its end")
    assert (await move_run(config, fleet, run, "empty"))["pod"] == "empty"


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


class Died(BaseException):
    """The client was killed."""


def dies_at(monkeypatch: pytest.MonkeyPatch, fleet: Fleet, step: str) -> None:
    """The client is killed just before it asks for `step` of a move."""
    asked = fleet.submit, fleet.queue

    async def submit(*given: Any, **fields: Any) -> dict[str, Any]:
        if step == "submit":
            raise Died
        return await asked[0](*given, **fields)

    async def queue(pod: str, run_id: str, action: str, **fields: Any) -> dict[str, Any]:
        if step == action:
            raise Died
        return await asked[1](pod, run_id, action, **fields)

    monkeypatch.setattr(fleet, "submit", submit)
    monkeypatch.setattr(fleet, "queue", queue)


@pytest.mark.parametrize("step", ["submit", "take"])
async def test_a_move_that_was_cut_off_is_finished_by_doing_it_again_and_nothing_runs_twice(
    fleet: Fleet, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = await waiting(fleet)
    with monkeypatch.context() as patch, pytest.raises(Died):
        dies_at(patch, fleet, step)
        await move_run(config, fleet, run, "empty")
    pod = await shows(fleet, "full", lambda pod: pod.runs["r1"].state == "held", "the held run")
    assert "`ops queue move r1 --to empty` finishes that" in pod.runs["r1"].detail
    with pytest.raises(RefusedActionError, match="on its way to pod empty"):
        await fleet.queue("full", "r1", "release")
    told = await move_run(config, fleet, pod.runs["r1"], "empty")
    await shows(fleet, "full", lambda pod: "r1" not in pod.runs, "its leaving")
    moved = (await shows(fleet, "empty", lambda pod: pod.runs["r1"].state == "succeeded", "its end")).runs["r1"]
    _, size, log = await fleet.read("empty", "r1", "stdout.log")
    assert (told["pod"], size, log) == ("empty", len(log), f"a=2 in {moved.run_dir}\n".encode())


async def test_a_move_that_was_cut_off_can_go_elsewhere_only_once_the_former_target_says_that_it_has_no_such_run(
    fleet: Fleet, config: ProjectConfig
) -> None:
    run = await waiting(fleet)
    await fleet.queue("full", "r1", "move", value={"to": "rented-for-a-day", "id": "0123456789abcdef"})
    with pytest.raises(UnreachableError, match="rented-for-a-day may have it"):
        await move_run(config, fleet, run, "empty")
    await fleet.queue("full", "r1", "stay", value="0123456789abcdef")
    # A pod that answers, and has no run that came this way.
    await fleet.queue("full", "r1", "move", value={"to": "full", "id": "0123456789abcdef"})
    assert (await move_run(config, fleet, run, "empty"))["pod"] == "empty"


async def test_a_run_that_a_user_holds_arrives_held_also_after_its_move_was_cut_off(
    fleet: Fleet, config: ProjectConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await waiting(fleet)
    await fleet.queue("full", "r1", "hold")
    with monkeypatch.context() as patch, pytest.raises(Died):
        dies_at(patch, fleet, "take")
        await move_run(config, fleet, run, "empty")
    assert await move_run(config, fleet, run, "empty") == {"pod": "empty", "state": "held"}
    await shows(fleet, "full", lambda pod: "r1" not in pod.runs, "its leaving")
