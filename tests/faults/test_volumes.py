"""The volume of the runs fills up, turns read-only, goes away and comes back: no run is ended by our trouble."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from podops_runners import agent_process, machine, process
from podops_runners.rundir import RunDir
from tests.faults import mounts
from tests.faults.fault_pod import FaultPod, await_end_of, eventually, kill, read_lines
from tests.faults.invariants import check
from tests.pods.loopback import descendants

Trouble = Callable[[FaultPod], AbstractContextManager[None]]


def full(pod: FaultPod) -> AbstractContextManager[None]:
    return mounts.filled(pod.volume)


def read_only(pod: FaultPod) -> AbstractContextManager[None]:
    return mounts.read_only(pod.volume)


def away(pod: FaultPod) -> AbstractContextManager[None]:
    return mounts.away(pod.volume, backing(pod))


def replaced(pod: FaultPod) -> AbstractContextManager[None]:
    return mounts.replaced(pod.volume, backing(pod))


EVERY_TROUBLE = pytest.mark.parametrize("trouble", [full, read_only, away, replaced])


def backing(pod: FaultPod) -> Path:
    return pod.root / "backing"


@pytest.fixture
def volume(own_mounts: None, pod: FaultPod) -> Iterator[FaultPod]:
    """The pod, its outputs root on a small volume of its own."""
    backing(pod).mkdir()
    mounts.mount("-t", "tmpfs", "-o", "size=1m", "podops-test", backing(pod))
    pod.outputs.rmdir()
    mounts.mount("--bind", backing(pod), pod.volume)
    pod.outputs.mkdir()
    yield pod
    pod.end()
    mounts.unmount(pod.volume)
    mounts.unmount(backing(pod))


def lines_told(pod: FaultPod, run: RunDir) -> int:
    return sum(path.read_text().count("\nline ") for path in pod.told(run))


def summary_with(pod: FaultPod, run: RunDir, **facts: Any) -> None:
    summary = pod.summary(run)
    assert {name: summary[name] for name in facts} == facts, summary


@EVERY_TROUBLE
def test_a_run_goes_on_through_trouble_with_its_volume(volume: FaultPod, trouble: Trouble) -> None:
    run = volume.started("--every 0.05")
    child = volume.child(run)
    with trouble(volume):
        before = lines_told(volume, run)
        eventually(lambda: lines_told(volume, run) > before + 10)
        assert not volume.ended(run)
    volume.finish(run, 4)
    summary_with(volume, run, exit_code=4, attempts=1)
    assert not volume.told(run)[1:]
    assert volume.told(run)[0].name.endswith(f".{child}.told")
    check(volume)


@EVERY_TROUBLE
def test_what_ends_during_the_trouble_is_recorded_after_it(volume: FaultPod, trouble: Trouble) -> None:
    run = volume.started("--every 0.05")
    child = volume.child(run)
    with trouble(volume):
        volume.finish(run, 3)
        await_end_of(child)
        assert not volume.ended(run)
    summary_with(volume, run, exit_code=3, reason="nonzero_exit")
    attempts = read_lines(run.attempts)
    assert [line["log_end"] for line in attempts] == [Path(run.stdout_log).stat().st_size]
    check(volume)


@EVERY_TROUBLE
def test_a_supervisor_killed_during_the_trouble_is_replaced_after_it(volume: FaultPod, trouble: Trouble) -> None:
    run = volume.started("--every 0.05")
    supervisor, child = volume.supervisor(run), volume.child(run)
    with trouble(volume):
        kill(supervisor)
        await_end_of(supervisor)
        volume.finish(run, 6)
        await_end_of(child)
    summary_with(volume, run, exit_code=6, attempts=1)
    check(volume)


@pytest.mark.parametrize("trouble", [read_only, away, replaced])
def test_a_retry_waits_for_the_volume(volume: FaultPod, trouble: Trouble) -> None:
    # Long enough to make the trouble meanwhile.
    retries = {"max": 1, "on": ["nonzero_exit"], "backoff_s": 2.0}
    run = volume.started(
        "--every 0.05 --fail-at 5 --fail-attempts 1", policies={"grace_s": 0.5, "retries": retries}, gpus={"count": 1}
    )
    eventually(lambda: "retrying" in volume.events(run))
    with trouble(volume):
        time.sleep(2.5)  # the retry is due now, and must not come
        assert len(volume.told(run)) == 1
    volume.finish(run)
    summary_with(volume, run, ok=True, attempts=2)
    check(volume)


def test_an_attempt_that_began_on_a_full_disk_is_not_begun_again_by_another_supervisor(volume: FaultPod) -> None:
    retries = {"max": 1, "on": ["nonzero_exit"], "backoff_s": 0.5}
    run = volume.started("--every 0.05 --fail-at 5 --fail-attempts 1", policies={"grace_s": 0.5, "retries": retries})
    eventually(lambda: "retrying" in volume.events(run))
    with mounts.filled(volume.volume):
        eventually(lambda: len(list(volume.witness.glob("*.told"))) == 2, "the second attempt")
        supervisor = volume.supervisor(run)
        kill(supervisor)
        await_end_of(supervisor)
    volume.finish(run)
    summary_with(volume, run, ok=True, attempts=2)
    check(volume)


def test_a_full_disk_is_told_in_the_heartbeat_and_not_any_more_once_there_is_room(volume: FaultPod) -> None:
    run = volume.started("--every 0.05")
    with mounts.filled(volume.volume):
        eventually(lambda: "trouble=ENOSPC" in volume.heartbeat(run))
        eventually(lambda: volume.problems(run) == ["the volume is full: what it tells is not recorded"])
        assert volume.state(run) == "running"
    volume.finish(run)
    summary_with(volume, run, ok=True)
    check(volume)


@pytest.mark.parametrize(("trouble", "why"), [(full, "full"), (read_only, "read-only")])
def test_a_run_whose_end_its_volume_does_not_take_is_listed_with_that_until_it_does(
    volume: FaultPod, trouble: Trouble, why: str
) -> None:
    run = volume.started("--every 0.05")
    with trouble(volume):
        volume.finish(run, 3)
        told = f"the volume is {why}: what it tells is not recorded; it has ended: failed (nonzero_exit)"
        eventually(lambda: volume.problems(run) == [told], "what is wrong with it")
        assert volume.state(run) == "running"
    summary_with(volume, run, exit_code=3)
    assert volume.problems(run) == []
    check(volume)


def test_what_a_run_could_not_write_to_a_full_disk_it_writes_later(volume: FaultPod) -> None:
    run = volume.started("--every 0.001")
    with mounts.filled(volume.volume):
        stuck = eventually(lambda: stands_still(lambda: lines_told(volume, run)))
    eventually(lambda: lines_told(volume, run) > stuck)
    volume.finish(run)
    summary_with(volume, run, ok=True)
    check(volume)


def stands_still(count: Callable[[], int]) -> int:
    """The count when it has not changed over many looks, else 0."""
    first = count()
    return first if all(count() == first for _ in range(200)) else 0


def test_a_removed_run_directory_leaves_nobody_waiting_for_it(volume: FaultPod) -> None:
    run = volume.started()
    supervisor, shim, child = volume.supervisor(run), volume.shim(run), volume.child(run)
    while Path(run.path).exists():  # a heartbeat may be written meanwhile
        shutil.rmtree(run.path, ignore_errors=True)
    volume.finish(run)
    for pid in (child, supervisor, shim):
        await_end_of(pid)
    volume.runs.remove(run)
    check(volume)


@pytest.fixture
def hanging_disk(own_mounts: None, pod: FaultPod) -> Iterator[FaultPod]:
    """The pod, its outputs root on a disk that can be made to hang."""
    pod.outputs.rmdir()
    with mounts.disk(pod.volume, pod.root / "image"):
        pod.outputs.mkdir()
        yield pod
        pod.end()


@pytest.mark.parametrize("killed", [False, True], ids=["watched", "supervisor killed"])
def test_a_volume_that_hangs_is_waited_for(hanging_disk: FaultPod, killed: bool) -> None:
    pod = hanging_disk
    run = pod.started("--every 0.02", gpus={"count": 1})
    supervisor = pod.supervisor(run)
    with mounts.hanging(pod.volume):
        eventually(lambda: Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[0] == "D", "a hang")
        assert pod.state(run) == "running"
        if killed:
            kill(supervisor)
        pod.finish(run, 3)
        time.sleep(1)  # long enough to judge wrongly
        assert not pod.ended(run)
    summary_with(pod, run, exit_code=3, attempts=1)
    check(pod)


def test_outputs_roots_that_are_gone_cost_an_agent_no_process_and_hold_up_no_run(pod: FaultPod) -> None:
    for number in range(40):
        machine.register_root(machine.Root(str(pod.root / f"gone{number}/runs")))
    run = pod.submit("--lines 3", queue={"delay_s": 1.5})
    pod.start_agent()
    status = eventually(agent_process.status, "an agent")
    assert status is not None
    agent = status["agent"]["pid"]
    assert pod.summary(run)["ok"]
    eventually(
        lambda: len([pid for pid in descendants(agent) if process.start_ticks(pid)]) == 1, "the end of the others"
    )
    back = pod.root / "gone7/runs"
    back.mkdir(parents=True)
    waiting = pod.submit("--lines 3", run_id="back", outputs_dir=str(back), queue={"delay_s": 0.5})
    pod.runs.remove(waiting)
    assert pod.summary(waiting)["ok"]
    check(pod)
