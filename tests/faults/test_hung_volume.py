"""Two projects on one pod, each on a volume of its own: while one volume hangs, the other's runs start and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from podops_runners import pod_check, process, run_queue
from podops_runners.rundir import RunDir
from tests.faults import mounts
from tests.faults.fault_pod import FaultPod, all_pids, await_end_of, eventually, kill, read
from tests.faults.invariants import check
from tests.faults.preload import preload

Hanging = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def hanging(pod: FaultPod, monkeypatch: pytest.MonkeyPatch) -> Hanging:
    """Within the block whoever asks for anything on the pod's volume waits, but for the runs and this process."""
    change = preload(pod, monkeypatch, "stale", "STALE_SWITCH", STALE_UNDER=str(pod.volume), STALE_HANGS="1")
    numbers = iter(range(1, 100))

    @contextmanager
    def hang() -> Iterator[None]:
        change(next(numbers))
        try:
            yield
        finally:
            change(next(numbers))

    return hang


def elsewhere(pod: FaultPod, run_id: str, delay_s: float = 0.3, **changes: object) -> RunDir:
    """A run of another project on another volume, which only the agent can start."""
    root = pod.root / "elsewhere/runs"
    root.mkdir(parents=True, exist_ok=True)
    queue = {"delay_s": delay_s}
    run = pod.submit("--lines 3", run_id=run_id, project="other", outputs_dir=str(root), queue=queue, **changes)
    # What is checked of every run at the end is looked up under the pod's own root.
    pod.runs.remove(run)
    return run


def ends_well(pod: FaultPod, run: RunDir) -> bool:
    return bool(pod.summary(run)["ok"])


def test_a_hung_volume_stops_no_run_of_another_and_its_own_start_once_when_it_is_back(
    pod: FaultPod, hanging: Hanging
) -> None:
    first = pod.started(gpus={"count": 3})
    waiting = pod.submit("--lines 3", gpus={"count": 3})
    assert ends_well(pod, elsewhere(pod, "before"))
    with hanging():
        assert ends_well(pod, elsewhere(pod, "b0", gpus={"count": 1}))
        eventually(lambda: "has not answered since" in run_queue.told()[0].get(waiting.path, ""), "a word about it")
        (told,) = [one for one in pod_check.check({})["findings"] if one["subject"] == "agent"]
        assert told["level"] == "warn" and str(pod.outputs) in told["message"]
        # Neither one whose agent has to be started anew.
        killed = pod.agent()
        kill(killed)
        await_end_of(killed)
        pod.start_agent()
        assert pod.agent() != killed
        assert ends_well(pod, elsewhere(pod, "b1", gpus={"count": 1}))
        assert not pod.told(waiting)
    pod.finish(first)
    assert ends_well(pod, waiting)
    check(pod)


def in_the_kernel(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"


def gpus_held(pod: FaultPod, run: RunDir) -> int:
    claims = read(pod.root / "state/gpus-simulated.json").get("claims", {})
    return [entry["run_dir"] for entry in claims.values()].count(run.path)


def stuck_keeper(agent: int) -> int:
    """The process of this agent that hangs with a volume; 0 while none does."""
    return next((pid for pid in all_pids() if process.parent(pid) == agent and in_the_kernel(pid)), 0)


def test_a_start_that_hangs_in_the_kernel_happens_once_and_leaves_the_agent_its_locks(
    own_mounts: None, pod: FaultPod
) -> None:
    pod.outputs.rmdir()
    with mounts.disk(pod.volume, pod.root / "image"):
        pod.outputs.mkdir()
        assert ends_well(pod, elsewhere(pod, "before"))
        late = pod.submit("--lines 3", gpus={"count": 2}, queue={"delay_s": 2.0})
        with mounts.hanging(pod.volume):
            agent = pod.agent()
            eventually(lambda: gpus_held(pod, late) == 2, "the claim of what is to start")
            keeper = eventually(lambda: stuck_keeper(agent), "the start that hangs")
            assert ends_well(pod, elsewhere(pod, "b0", gpus={"count": 2}))
            assert gpus_held(pod, late) == 2, "what may have its GPUs keeps them"
            kill(agent)
            await_end_of(agent)
            pod.start_agent()
            assert pod.agent() != agent
            assert ends_well(pod, elsewhere(pod, "b1", gpus={"count": 2}))
            assert not pod.ended(late)
            time.sleep(1)  # long enough for the new agent to try it as well
        await_end_of(keeper)
        assert ends_well(pod, late)
        check(pod)
        pod.end()
