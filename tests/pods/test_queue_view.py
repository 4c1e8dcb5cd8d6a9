"""What a client sees of runs that wait: their place, why and since when, and what comes after a failed attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from podops.config.model import ProjectConfig
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from tests.pods.fleet_config import fleet_config, pod_config, shows, submit_plan

POD = "near"


@pytest.fixture
def config(client_home: Path, tmux_socket: str) -> ProjectConfig:
    """A local pod with two simulated GPUs."""
    return fleet_config(replace(pod_config(POD), simulated_gpus=2), tmux_socket=tmux_socket)


@pytest.fixture
async def fleet(config: ProjectConfig) -> AsyncIterator[Fleet]:
    async with Fleet(config) as opened:
        await opened.settled(20)
        yield opened


async def submit(fleet: Fleet, config: ProjectConfig, run_id: str, command: str, **spec: object) -> str:
    """The state the pod answers with."""
    plan = submit_plan(config, POD, run_id, command)
    plan.spec.update(spec)
    return str((await fleet.submit(plan))["state"])


async def seen(fleet: Fleet, run_id: str, condition: Callable[[RunSnapshot], bool], what: str) -> RunSnapshot:
    pod = await shows(fleet, POD, lambda pod: run_id in pod.runs and condition(pod.runs[run_id]), what)
    return pod.runs[run_id]


async def test_waiting_runs_tell_their_place_why_they_wait_and_since_when(fleet: Fleet, config: ProjectConfig) -> None:
    assert await submit(fleet, config, "wide", "sleep 60", gpus={"all": True}) == "starting"
    assert await submit(fleet, config, "second", "true", gpus={"count": 1}) == "queued"
    assert await submit(fleet, config, "first", "true", gpus={"indices": [1]}, queue={"priority": 5}) == "queued"
    assert await submit(fleet, config, "child", "true", queue={"after": ["wide"]}) == "queued"
    assert await submit(fleet, config, "kept", "true", queue={"hold": True}) == "held"
    first = await seen(fleet, "first", lambda run: run.place == 1, "the first place")
    second = await seen(fleet, "second", lambda run: run.place == 2, "the second place")
    child = await seen(fleet, "child", lambda run: run.place == 3, "the child's place")
    kept = await seen(fleet, "kept", lambda run: run.state == "held", "the held run")
    assert (first.detail, first.priority) == ("waits for 1 GPU (1): 0 of 2 free", 5)
    assert second.detail == "waits for 1 GPU: 0 of 2 free"
    assert (child.detail, child.after) == ("waits for run wide", ("wide",))
    assert (kept.place, kept.detail) == (0, "waits for its release")
    assert [run.asked_gpus for run in (first, second, child)] == ["1,", "1", ""]
    assert all(run.waits_s is not None and run.waits_s < 60 for run in (first, second, child, kept))
    await fleet.queue(POD, "second", "priority", value=9)
    await seen(fleet, "second", lambda run: run.place == 1, "the second run in front")
    await fleet.kill(POD, "wide", grace_s=0.2)
    await seen(fleet, "child", lambda run: run.state == "failed" and run.reason == "dependency_failed", "its end")


async def test_a_failed_attempt_tells_when_the_next_one_comes_and_why_the_last_one_ended(
    fleet: Fleet, config: ProjectConfig
) -> None:
    retries = {"max": 2, "on": ["nonzero_exit"]}
    await submit(fleet, config, "again", "exit 3", policies={"retries": {**retries, "backoff_s": 600.0}})
    waits = await seen(fleet, "again", lambda run: run.phase == "retrying", "the wait between two attempts")
    assert (waits.state, waits.attempt, waits.attempts_max) == ("starting", 1, 3)
    assert waits.last_failure == "nonzero_exit"
    assert waits.retry_in_s is not None and 500 < waits.retry_in_s <= 600.0
    await submit(fleet, config, "soon", "exit 3", policies={"retries": {**retries, "backoff_s": 0.1}})
    ended = await seen(fleet, "soon", lambda run: run.ended, "the end")
    assert (ended.state, ended.attempt, ended.attempts_max) == ("failed", 3, 3)
    await fleet.kill(POD, "again", grace_s=0.2)
