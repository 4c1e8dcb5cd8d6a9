"""kill -9 of the pod side at every step of taking a waiting run away to another pod."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podops_runners.queue_ops import change
from podops_runners.rundir import RunDir
from podops_runners.submit_error import SubmitError
from tests.faults.fault_pod import FaultPod, eventually, read
from tests.faults.invariants import check

#: Everything by which a process changes a directory.
STEPS = ("mkdir", "rename", "replace", "link", "unlink", "rmdir", "fsync")

WAY = {"to": "there", "id": "0123456789abcdef"}


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Do `work` in a process that is killed just before its change number `step`; whether it came to that."""
    pid = os.fork()
    if pid == 0:
        try:
            left = [step]
            for name in STEPS:
                setattr(os, name, _deadly(getattr(os, name), left))
            work()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status), "the work itself failed"
    return os.WIFSIGNALED(status)


def _deadly(call: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def wrapped(*given: Any, **named: Any) -> Any:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return call(*given, **named)

    return wrapped


def waits_whole(pod: FaultPod, run: RunDir) -> bool:
    """It is in this pod's queue, with all that is needed to run it."""
    return pod.waits(run) and bool(read(run.spec)) and bool(read(run.ticket)) and Path(run.command).exists()


@pytest.mark.parametrize("action", ["move", "take"])
def test_a_pod_side_killed_at_any_step_leaves_the_run_whole_in_the_queue_or_gone_to_the_other_pod(
    pod: FaultPod, action: str
) -> None:
    blocker = pod.started(gpus={"all": True})
    moved, step = [], 0
    while True:
        run = pod.submit(gpus={"all": True})
        moved.append(run)
        if action == "take":
            change(run, "move", "a test", WAY)
        killed = killed_at(step, lambda: change(run, action, "a test", WAY if action == "move" else WAY["id"]))  # noqa: B023
        assert waits_whole(pod, run) or (action == "take" and not Path(run.path).exists())
        if Path(run.path).exists():
            assert change(run, "move", "a test", WAY)["to"] == "there"
            with pytest.raises(SubmitError, match="on its way"):
                change(run, "release", "a test")
            change(run, "take", "a test", WAY["id"])
        assert not Path(run.path).exists()
        step += 1
        if not killed:
            break
    assert step > 2
    assert not list(pod.outputs.glob(".moved-*")), "what a killed one has left is taken away by the next"
    pod.runs = [blocker]
    pod.finish(blocker)
    after = pod.submit("--lines 1", gpus={"all": True}, run_id="after")
    assert pod.summary(after)["ok"] and not any(pod.told(run) for run in moved)
    check(pod)


def test_what_a_killed_pod_side_has_left_of_a_run_is_taken_away_by_the_next_agent(pod: FaultPod) -> None:
    blocker = pod.started(gpus={"all": True})
    run = pod.submit(gpus={"all": True})
    change(run, "move", "a test", WAY)
    steps = next(
        step
        for step in range(100)
        if killed_at(step, lambda: change(run, "take", "a test", WAY["id"])) and not Path(run.path).exists()
    )
    assert steps and list(pod.outputs.glob(".moved-*"))
    os.kill(pod.agent(), signal.SIGKILL)
    pod.start_agent()
    eventually(lambda: not list(pod.outputs.glob(".moved-*")), "the clearing up")
    pod.runs = [blocker]
    pod.finish(blocker)
    assert pod.summary(blocker)["ok"]
    check(pod)
