"""The pod's clock is set forward or back while runs run: none is ended or started for it, and no time is made up."""

from __future__ import annotations

import pytest

from podops_runners.runfiles import parse_heartbeat
from tests.faults.fault_pod import FaultPod, await_end_of, eventually, kill, read_lines
from tests.faults.invariants import check
from tests.faults.preload import SetNumber, preload

DAY = 86400


@pytest.fixture
def set_clock(pod: FaultPod, monkeypatch: pytest.MonkeyPatch) -> SetNumber:
    """`set_clock(seconds)`: from now on the pod's processes see a clock that is so much ahead of the true one."""
    return preload(pod, monkeypatch, "clock", "CLOCK_SHIFT")


def beat_day(pod: FaultPod) -> str:
    return parse_heartbeat(pod.heartbeat(pod.runs[0])).get("time", "")[:10]


@pytest.mark.parametrize("by", [DAY, -DAY, 400 * DAY], ids=["forward", "back", "far"])
def test_a_moved_clock_ends_no_run(pod: FaultPod, set_clock: SetNumber, by: int) -> None:
    policies = {"timeout_s": 3600, "stall_timeout_s": 1800, "grace_s": 0.5}
    run = pod.started(policies=policies, gpus={"count": 1})
    before = eventually(lambda: beat_day(pod))
    set_clock(by)
    eventually(lambda: beat_day(pod) != before, "a heartbeat by the moved clock")
    assert pod.state(run) == "running"
    pod.finish(run)
    summary = pod.summary(run)
    assert summary["ok"]
    assert summary["elapsed_s"] < 3600
    check(pod)


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forward", "back"])
def test_a_supervisor_that_comes_after_the_clock_was_moved_ends_nothing_either(
    pod: FaultPod, set_clock: SetNumber, by: int
) -> None:
    set_clock(-by)
    run = pod.started(policies={"timeout_s": 3600, "grace_s": 0.5}, gpus={"count": 1})
    supervisor = pod.supervisor(run)
    kill(supervisor)
    await_end_of(supervisor)
    set_clock(0)
    eventually(lambda: "adopted" in pod.events(run), "the take-over")
    elapsed = eventually(lambda: parse_heartbeat(pod.heartbeat(run)).get("elapsed"))
    assert float(elapsed or 0) < 3600
    pod.finish(run, 3)
    summary = pod.summary(run)
    assert (summary["exit_code"], summary["elapsed_s"] < 3600) == (3, True)
    check(pod)


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forward", "back"])
def test_a_retry_comes_after_its_pause_whatever_the_clock_says(pod: FaultPod, set_clock: SetNumber, by: int) -> None:
    retries = {"max": 1, "on": ["nonzero_exit"], "backoff_s": 2.0}
    run = pod.started("--fail-at 3 --fail-attempts 1", policies={"grace_s": 0.5, "retries": retries}, gpus={"count": 1})
    eventually(lambda: "retrying" in pod.events(run))
    set_clock(by)
    pod.finish(run)
    assert pod.summary(run)["attempts"] == 2
    assert [line["attempt"] for line in read_lines(run.attempts)] == [1, 2]
    check(pod)


def test_queue_and_agent_go_on_after_the_clock_was_moved(pod: FaultPod, set_clock: SetNumber) -> None:
    first = pod.started(gpus={"all": True})
    waiting = [pod.submit("--lines 3", gpus={"count": 2}) for _ in range(2)]
    set_clock(-DAY)
    later = pod.submit("--lines 3", gpus={"count": 1})
    pod.finish(first)
    for run in [*waiting, later]:
        assert pod.summary(run)["ok"]
    check(pod)
