"""The true queue, with true runs and true crashes, beside a model of it that says what must come of each run."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from podops_runners import agent_process, process, queue_ops
from podops_runners.kill import request_kill
from podops_runners.rundir import RunDir
from podops_runners.submit_error import SubmitError
from tests.faults.conftest import ROUNDS
from tests.faults.fault_pod import FaultPod, eventually, kill, new_pod, read
from tests.faults.invariants import check, told_by
from tests.pods.loopback import descendants

GPUS = 4
WIDTHS = st.integers(0, GPUS)
PRIORITIES = st.integers(-1, 1)


@dataclass
class Expected:
    """What the model knows of one run."""

    run: RunDir
    width: int
    priority: int
    #: Its place among runs of the same priority.
    number: int
    held: bool = False
    #: It never started, and never may.
    cancelled: bool = False
    #: It was told to end so, asked to end, or its process was killed; it ends in one of the ways that were asked for.
    code: int | None = None
    asked_to_end: bool = False
    child_killed: bool = False

    def order(self) -> tuple[int, int]:
        return (-self.priority, self.number)

    def allows(self, state: str, exit_code: int | None) -> bool:
        if self.cancelled:
            return state == "cancelled"
        ways = []
        if self.asked_to_end:
            ways.append(state == "cancelled")
        if self.child_killed:
            ways.append(state == "failed" and exit_code == 137)
        if self.code is not None:
            ways.append((state == "succeeded") == (self.code == 0) and exit_code == self.code)
        return any(ways)


class QueueMachine(RuleBasedStateMachine):
    """Random submits, holds, priorities, kills and crashes."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="podops-model-"))
        self.stack = ExitStack()
        monkeypatch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.pod: FaultPod = self.stack.enter_context(new_pod(self.folder, monkeypatch))
        self.expected: list[Expected] = []

    @initialize(target=runs, wanted=st.lists(st.tuples(WIDTHS, PRIORITIES, st.booleans()), min_size=4, max_size=7))
    def begin(self, wanted: list[tuple[int, int, bool]]) -> MultipleResults[Expected]:
        return multiple(*[self.submit_one(width, priority, hold) for width, priority, hold in wanted])

    @rule(target=runs, width=WIDTHS, priority=PRIORITIES, hold=st.booleans())
    def submit(self, width: int, priority: int, hold: bool) -> Expected:
        return self.submit_one(width, priority, hold)

    def submit_one(self, width: int, priority: int, hold: bool) -> Expected:
        run = self.pod.submit(
            "--every 0.05",
            gpus={"count": width} if width else None,
            queue={"priority": priority, "hold": hold},
        )
        one = Expected(run, width, priority, len(self.expected), hold)
        self.expected.append(one)
        return one

    @rule(one=runs)
    def hold(self, one: Expected) -> None:
        if self.changed(one, "hold"):
            one.held = True

    @rule(one=runs)
    def release(self, one: Expected) -> None:
        if self.changed(one, "release"):
            one.held = False

    @rule(one=runs, priority=st.integers(-3, 3))
    def prioritise(self, one: Expected, priority: int) -> None:
        if self.changed(one, "priority", priority):
            one.priority = priority

    @rule(one=runs, code=st.sampled_from([0, 0, 1, 7]))
    def finish(self, one: Expected, code: int) -> None:
        if one.code is None:
            self.pod.finish(one.run, code)
            one.code = code

    @rule(one=consumes(runs))
    def end(self, one: Expected) -> None:
        never_started = self.waits(one)
        answer = request_kill(one.run, 0.2, "a test")
        if answer["ended"] and never_started and not self.pod.told(one.run):
            one.cancelled = True
        else:
            one.asked_to_end = True

    @rule(one=runs)
    def kill_child(self, one: Expected) -> None:
        child = self.pod.claim(one.run).get("child")
        if child and process.is_alive(child):
            one.child_killed = True
            kill(child["pid"])

    @rule(one=runs)
    def kill_supervisor(self, one: Expected) -> None:
        supervisor = self.pod.claim(one.run).get("supervisor")
        if supervisor and process.is_alive(supervisor):
            kill(supervisor["pid"])

    @rule()
    def kill_agent(self) -> None:
        agent = agent_process.status()
        if agent:
            kill(agent["agent"]["pid"])

    def end_agent(self) -> None:
        """Nobody starts a run any more when this returns."""
        agent = agent_process.status()
        if agent:
            pid = agent["agent"]["pid"]
            everybody = [pid, *descendants(pid)]
            kill(pid)
            eventually(lambda: not any(map(process.start_ticks, everybody)), "the end of the agent")

    @rule()
    def look(self) -> None:
        """As a link does: see to it that there is an agent, and watch until something starts or a while has passed."""
        self.pod.start_agent()
        before, deadline = self.starts(), time.monotonic() + 0.7
        while self.starts() == before and time.monotonic() < deadline:
            time.sleep(0.02)

    def starts(self) -> int:
        return sum(1 for _ in self.pod.witness.glob("*.told"))

    @invariant()
    def what_is_held_or_cancelled_has_not_started(self) -> None:
        for one in self.expected:
            assert not ((one.held or one.cancelled) and self.pod.told(one.run)), one

    def teardown(self) -> None:
        try:
            if self.expected:
                self.drain()
        finally:
            self.stack.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def drain(self) -> None:
        """Let everything end, and see that it ended as the model says, and started in the queue's order."""
        # Whoever looked at the queue before may start a run that stood in front then.
        self.end_agent()
        for one in self.expected:
            if one.held and self.changed(one, "release"):
                one.held = False
        waiting = [one for one in self.expected if self.waits(one)]
        self.pod.start_agent()
        for one in self.expected:
            self.finish_for_good(one)
        check(self.pod)
        for one in self.expected:
            summary = read(one.run.summary)
            assert one.allows(summary["state"], summary["exit_code"]), (one, summary)
            assert summary["attempts"] <= 1
            assert not (one.cancelled and self.pod.told(one.run)), one
        self.started_in_order(waiting)

    def finish_for_good(self, one: Expected) -> None:
        if one.code is None:
            self.pod.finish(one.run, 0)
            one.code = 0

    def started_in_order(self, waiting: list[Expected]) -> None:
        """Of two runs that want the same GPUs and cannot run together, the one that stands in front goes first."""
        told = map(told_by, self.pod.witness.glob("*.told"))
        begun = {one.run_id: one.begun for one in told if one.begun}
        queue = [one for one in sorted(waiting, key=Expected.order) if one.run.run_id in begun]
        for place, one in enumerate(queue):
            for other in queue[place + 1 :]:
                if one.width == other.width > GPUS / 2:
                    assert begun[one.run.run_id] < begun[other.run.run_id], (one, other)

    def changed(self, one: Expected, action: str, value: int | None = None) -> bool:
        """Whether the queue took the change; it refuses it of a run that has started or ended, and of no other."""
        try:
            queue_ops.change(one.run, action, "a test", value)
            return True
        except SubmitError:
            assert not self.waits(one), one
            return False

    def waits(self, one: Expected) -> bool:
        return not Path(one.run.claim).exists() and not Path(one.run.summary).exists()


@pytest.mark.timeout(900)
def test_whatever_is_done_to_the_queue_each_run_ends_once_and_as_the_model_says() -> None:
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=9 * ROUNDS,
            stateful_step_count=40,
            deadline=None,
            derandomize=ROUNDS == 1,
            database=None,
            # What fails here fails by its timing, too: to shrink it would try it again for hours.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
