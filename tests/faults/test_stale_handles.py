"""The volume's server forgets it: every call on it fails with ESTALE, and handles opened before fail for ever.

No NFS server is here; a preloaded library (stale.c) gives the pod's processes, though not the runs, its answers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.fault_pod import FaultPod, await_end_of, eventually, kill, read_lines
from tests.faults.invariants import check
from tests.faults.preload import SetNumber, preload

STALE, BACK = 1, 2


@pytest.fixture
def volume_is(pod: FaultPod, monkeypatch: pytest.MonkeyPatch) -> SetNumber:
    return preload(pod, monkeypatch, "stale", "STALE_SWITCH", STALE_UNDER=str(pod.volume))


def test_a_run_goes_on_while_its_volume_is_stale_and_all_of_it_is_recorded(pod: FaultPod, volume_is: SetNumber) -> None:
    run = pod.started("--every 0.05")
    volume_is(STALE)
    before, last = Path(run.stdout_log).stat().st_size, pod.heartbeat(run)
    eventually(lambda: Path(run.stdout_log).stat().st_size > before + 500)
    assert not pod.ended(run)
    assert pod.heartbeat(run) == last, "the supervisor must not have been able to write"
    volume_is(BACK)
    eventually(lambda: pod.heartbeat(run) != last, "a heartbeat on the volume that is back")
    pod.finish(run, 4)
    summary = pod.summary(run)
    assert (summary["exit_code"], summary["attempts"]) == (4, 1)
    check(pod)


def test_what_ends_while_the_volume_is_stale_is_recorded_after_it(pod: FaultPod, volume_is: SetNumber) -> None:
    run = pod.started("--every 0.05")
    child = pod.child(run)
    volume_is(STALE)
    pod.finish(run, 3)
    await_end_of(child)
    assert not pod.ended(run)
    volume_is(BACK)
    assert pod.summary(run)["exit_code"] == 3
    assert [line["log_end"] for line in read_lines(run.attempts)] == [Path(run.stdout_log).stat().st_size]
    check(pod)


def test_a_supervisor_killed_while_the_volume_is_stale_is_replaced_after_it(
    pod: FaultPod, volume_is: SetNumber
) -> None:
    run = pod.started("--every 0.05")
    supervisor, child = pod.supervisor(run), pod.child(run)
    volume_is(STALE)
    kill(supervisor)
    await_end_of(supervisor)
    pod.finish(run, 6)
    await_end_of(child)
    volume_is(BACK)
    summary = pod.summary(run)
    assert (summary["exit_code"], summary["attempts"]) == (6, 1)
    check(pod)
