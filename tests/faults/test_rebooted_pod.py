"""The pod is rebooted, or made anew on the same volume, while runs run and wait."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from podops_runners.rundir import RunDir
from tests.faults import mounts
from tests.faults.fault_pod import FaultPod, eventually, forget_identity, kill, read, read_lines
from tests.faults.invariants import check, told_by
from tests.pods.pod_side import PodSide

BOOT_ID = "/proc/sys/kernel/random/boot_id"
MACHINE_ID = "/etc/machine-id"

RETRY_LOST = {"grace_s": 0.5, "retries": {"max": 2, "on": ["pod_lost"], "backoff_s": 0.1}}


class Reboots:
    """Turns the pod off and on again."""

    def __init__(self, pod: FaultPod, stack: ExitStack) -> None:
        self._pod = pod
        self._stack = stack

    def reboot(self) -> None:
        self._pod.power_off()
        self._cover(BOOT_ID, str(uuid4()))

    def make_anew(self) -> None:
        """Another machine of the same name with the same volume, some minutes later."""
        self.reboot()
        self._cover(MACHINE_ID, uuid4().hex)
        for run in self._pod.runs:
            for path in (run.heartbeat, run.claim):
                if Path(path).exists():
                    os.utime(path, (time.time() - 600, time.time() - 600))

    def _cover(self, place: str, content: str) -> None:
        self._stack.enter_context(mounts.covered(place, content + "\n", self._pod.root))
        forget_identity()


@pytest.fixture
def machine(own_mounts: None, pod: FaultPod) -> Iterator[Reboots]:
    with ExitStack() as stack:
        yield Reboots(pod, stack)
        pod.end()


@pytest.fixture
def connect(pod: FaultPod) -> Iterator[Any]:
    """`connect()`: somebody looks at the pod; its agent is there again."""
    links: list[PodSide] = []

    def open_link(name: str = "here") -> PodSide:
        env = {"PODOPS_STATE_DIR": os.environ["PODOPS_STATE_DIR"]}
        link = PodSide(sys.executable, pod.pyz, env=env)
        links.append(link)
        link.hello(pod.outputs, pod=name, simulate_gpus=pod.simulate_gpus, tmux={"socket": pod.socket})
        return link

    yield open_link
    for link in links:
        link.process.kill()
        link.process.communicate()


def test_the_runs_of_a_rebooted_pod_are_lost_until_its_agent_has_written_their_end(
    pod: FaultPod, machine: Reboots, connect: Any
) -> None:
    running = pod.started(gpus={"count": 2})
    waiting = pod.submit("--lines 3", gpus={"all": True})
    machine.reboot()
    assert pod.state(running) == "lost"
    assert pod.state(waiting) == "queued"
    assert not pod.ended(running)
    connect()
    summary = pod.summary(running)
    assert (summary["state"], summary["reason"], summary["exit_code"]) == ("failed", "pod_lost", None)
    assert pod.summary(waiting)["ok"]
    check(pod)


def test_a_run_on_a_rebooted_pod_goes_on_from_its_last_whole_checkpoint_where_the_preset_says_so(
    pod: FaultPod, machine: Reboots, connect: Any
) -> None:
    run = pod.started(policies=RETRY_LOST, gpus={"count": 1})
    checkpoint = keep_checkpoint(run)
    Path(run.checkpoints, "2.pt").write_bytes(b"PK\x03\x04cut off")
    machine.reboot()
    connect()
    goes_on_from(checkpoint, pod, run, after="pod_lost")


def test_a_run_whose_pod_told_it_to_end_before_the_reboot_goes_on_after_it_too(
    pod: FaultPod, machine: Reboots, connect: Any
) -> None:
    run = pod.started(policies=RETRY_LOST)
    checkpoint = keep_checkpoint(run)
    for pid in pod.processes():
        kill(pid, signal.SIGTERM)
    eventually(lambda: "phase=retrying" in pod.heartbeat(run), "the wait for the pod to go")
    kill(pod.supervisor(run), signal.SIGTERM)
    machine.reboot()
    connect()
    goes_on_from(checkpoint, pod, run, after="preempted")


def test_a_reboot_in_the_pause_before_the_last_attempt_takes_that_from_nobody(
    pod: FaultPod, machine: Reboots, connect: Any
) -> None:
    once_more = {"max": 1, "on": ["nonzero_exit"], "backoff_s": 1000.0}
    run = pod.submit("--lines 5 --fail-at 2 --fail-attempts 1", policies={"retries": once_more})
    eventually(lambda: "phase=retrying" in pod.heartbeat(run), "the pause")
    machine.reboot()
    connect()
    summary = pod.summary(run)
    assert (summary["ok"], summary["attempts"]) == (True, 2)
    check(pod)


@pytest.mark.parametrize(("state", "reason", "code"), [("succeeded", "ok", 0), ("failed", "import_error", 1)])
def test_a_run_that_had_ended_before_the_reboot_keeps_its_end(
    pod: FaultPod, machine: Reboots, connect: Any, state: str, reason: str, code: int
) -> None:
    run = pod.started("--lines 5", policies=RETRY_LOST)
    eventually(lambda: Path(run.attempts).exists(), "its end in the records")
    machine.reboot()
    # As when the supervisor came no further than here.
    Path(run.summary).unlink(missing_ok=True)
    line = read_lines(run.attempts)[0] | {"state": state, "reason": reason, "exit_code": code}
    Path(run.attempts).write_text(json.dumps(line) + "\n")
    connect()
    summary = pod.summary(run)
    assert (summary["state"], summary["reason"], summary["exit_code"]) == (state, reason, code)
    assert summary["ok"] is (code == 0)
    assert len(pod.told(run)) == 1


def test_a_pod_that_is_rebooted_again_and_again_uses_up_the_attempts_and_no_more(
    pod: FaultPod, machine: Reboots, connect: Any
) -> None:
    run = pod.started(policies=RETRY_LOST)
    for attempts in (1, 2, 3):
        eventually(lambda: len(pod.told(run)) == attempts, "the next attempt")  # noqa: B023
        eventually(lambda: read(run.claim).get("child"), "its claim")
        machine.reboot()
        connect()
    summary = pod.summary(run)
    assert (summary["reason"], summary["attempts"], len(pod.told(run))) == ("pod_lost", 3, 3)
    check(pod)


def test_a_pod_made_anew_ends_the_runs_of_the_former_one_and_starts_what_waited_there(
    pod: FaultPod, machine: Reboots, connect: Any
) -> None:
    lost = pod.started(gpus={"all": True})
    waiting = pod.submit("--lines 3", gpus={"count": 1})
    machine.make_anew()
    assert pod.state(lost) == "lost"
    connect()
    assert pod.summary(lost)["reason"] == "pod_lost"
    assert pod.summary(waiting)["ok"]
    check(pod)


def test_another_pod_on_the_same_volume_never_touches_the_runs_of_this_one(
    pod: FaultPod, machine: Reboots, connect: Any
) -> None:
    running = pod.started()
    waiting = pod.submit("--lines 3", gpus={"all": True}, queue={"hold": True})
    machine.make_anew()
    connect("another").push("runs")
    pod.agent()
    assert sorted(acted_on(run) for run in (running, waiting)) == [False, False]
    link = connect("here")
    assert pod.summary(running)["reason"] == "pod_lost"
    link.send(id=7, op="queue", run_id=waiting.run_id, action="release")
    assert pod.summary(waiting)["ok"]
    check(pod)


def keep_checkpoint(run: RunDir) -> Path:
    Path(run.checkpoints).mkdir()
    checkpoint = Path(run.checkpoints, "1.pt")
    checkpoint.write_bytes(b"weights")
    return checkpoint


def goes_on_from(checkpoint: Path, pod: FaultPod, run: RunDir, after: str) -> None:
    eventually(lambda: len(pod.told(run)) == 2, "the second attempt")
    assert {told_by(path).resumed_from for path in pod.told(run)} - {"-"} == {str(checkpoint)}
    pod.finish(run)
    summary = pod.summary(run)
    assert (summary["ok"], summary["attempts"]) == (True, 2)
    assert [line["reason"] for line in read_lines(run.attempts)] == [after, "ok"]
    check(pod)


def acted_on(run: RunDir) -> bool:
    """Whether somebody has ended or started it anew."""
    return Path(run.summary).exists() or len(read_lines(run.attempts)) > 0
