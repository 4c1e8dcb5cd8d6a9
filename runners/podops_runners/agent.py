"""The agent of a pod: starts queued runs when they can start, takes over those whose supervisor died.

One per machine and user, whatever the number of projects, links and submits: it holds a lock for as long as it lives.
It is started by every submit, every link and every supervisor that finds none, and leaves when there has been nothing
to do for a while. Nothing is lost without it: all it knows stands in the run directories.
"""

import os
import signal
import time
from typing import Any, Dict, List, Optional

from podops_runners import agent_process, machine, moving, process, program, records
from podops_runners.gpu import GpuSource
from podops_runners.inotify import FileWatch
from podops_runners.recover import Recovery
from podops_runners.run_queue import LOCK, Queue

#: Between two looks while anything runs or waits, and while nothing does, seconds.
_LOOK_S, _IDLE_LOOK_S = 2.0, 10.0

#: The agent leaves after so long without anything to look after, seconds.
_LEAVE_S = 600.0

#: Whoever looks for an agent holds its lock for an instant; under load that can take so long, seconds.
_LOOKED_AT_S = 0.5


def main() -> int:
    """Look after this machine until there has been nothing to do for a while. Returns 0, also when another one does."""
    agent = Agent()
    while True:
        held = _take_over()
        if held is None:
            return 0
        _attend(agent)
        os.close(held)
        # Whoever came while it was about to leave has found an agent, and started none.
        if not agent.look():
            return 0


def _take_over() -> Optional[int]:
    """The lock of the agent, or `None` while another one holds it for more than the instant of a look at it."""
    deadline = time.monotonic() + _LOOKED_AT_S
    while True:
        held = machine.take_lock(agent_process.LOCK)
        if held is not None or time.monotonic() > deadline:
            return held
        time.sleep(0.01)


def _attend(agent: "Agent") -> None:
    me = process.identity(os.getpid())
    records.write_record(
        machine.path_of(agent_process.RECORD),
        {"agent": None if me is None else me._asdict(), "archive": program.archive(), "time": time.time()},
        durable=False,
    )
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    agent.look()
    agent.clear()
    program.unpack()
    agent.run()


class Agent:
    """State kept between two looks: what was read before, so that a look is cheap."""

    def __init__(self) -> None:
        self._queue = Queue()
        self._recovery = Recovery()
        self._gpus: Dict[int, GpuSource] = {}

    def run(self) -> None:
        path = machine.path_of("wake")
        open(path, "ab").close()
        watch = FileWatch(path)
        busy_at = time.monotonic()
        while time.monotonic() - busy_at < _LEAVE_S:
            mark = _mark(path)
            if self.look():
                busy_at = time.monotonic()
            deadline = time.monotonic() + (_LOOK_S if busy_at > time.monotonic() - _LOOK_S else _IDLE_LOOK_S)
            while time.monotonic() < deadline and _mark(path) == mark:
                watch.wait(deadline - time.monotonic())

    def look(self) -> bool:
        """One look at every root; whether there is anything to look after."""
        roots = [root for root in machine.roots() if os.path.isdir(root.outputs_dir)]
        busy = False
        for root in roots:
            try:
                busy = bool(self._recovery.look(root)) or busy
            except OSError:
                continue
        self._recovery.looked_at_all()
        try:
            return self._queue.start_what_can(roots, self.samples) > 0 or busy
        except OSError:
            return True

    def clear(self) -> None:
        """Take away what processes that were killed have left half done."""
        try:
            records.sweep(machine.directory())
            with machine.locked(LOCK):
                for root in machine.roots():
                    moving.clear(root.outputs_dir)
        except OSError:
            pass

    def samples(self, simulate: int) -> List[Dict[str, Any]]:
        """GPU samples of now; the driver is asked only when a run waits for a GPU."""
        if simulate not in self._gpus:
            self._gpus[simulate] = GpuSource(simulate)
        gpus: List[Dict[str, Any]] = self._gpus[simulate].report({})["gpus"]
        return gpus


def _mark(path: str) -> "tuple[int, int]":
    try:
        info = os.stat(path)
    except OSError:
        return (0, 0)
    return (info.st_mtime_ns, info.st_size)
