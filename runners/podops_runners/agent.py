"""The agent of a pod: starts queued runs when they can start, takes over those whose supervisor died.

One per machine and user, whatever the number of projects, links and submits: it holds a lock for as long as it lives.
It is started by every submit, every link and every supervisor that finds none, and leaves when there has been nothing
to do for a while. Nothing is lost without it: all it knows stands in the run directories. What is on a volume it leaves
to a process for each outputs root, as one that hangs must hold up no other.
"""

import os
import signal
import time

from podops_runners import agent_process, apart, machine, process, program, queue_gate, records, run_queue
from podops_runners.gpu import GpuSource
from podops_runners.inotify import FileWatch
from podops_runners.root_keeper import RootKeeper
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional

#: Between two looks while anything runs or waits, and while nothing does, seconds.
_LOOK_S, _IDLE_LOOK_S = 2.0, 10.0

#: The agent leaves after so long without anything to look after, seconds.
_LEAVE_S = 600.0

#: Whoever looks for an agent holds its lock for an instant; under load that can take so long, seconds.
_LOOKED_AT_S = 0.5

#: A root that is not there is looked for again after so long, and each time after twice as long, seconds.
_MISSING_S, _MISSING_MOST_S = 5.0, 600.0

#: So many roots are taken up in one look, those asked about last first.
_AT_ONCE = 16

#: How long the volumes of one look are waited for together, seconds; whatever takes longer delays nobody else.
_ANSWER_S = 5.0


def main(held: Optional[int] = None) -> int:
    """Look after this machine until there has been nothing to do for a while. Returns 0, also when another one does.

    `held` is the descriptor of the agent's lock, where the program that went on as this one had it already.
    """
    if held is not None:
        os.set_inheritable(held, False)
    agent = Agent()
    while True:
        held = _take_over() if held is None else held
        # On a machine that takes no runs any more, everything is about to end.
        if held is None or queue_gate.is_closed():
            return 0
        _attend(agent, held)
        os.close(held)
        held = None
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


def _attend(agent: "Agent", held: int) -> None:
    _leave_word([])
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    agent.look()
    records.sweep(machine.directory())
    program.unpack()
    if agent.let_go():
        # Its lock goes on with it: nobody is to find it free meanwhile.
        os.set_inheritable(held, True)
        program.restart("agent", str(held))
        os.set_inheritable(held, False)
    agent.run()


def _leave_word(hanging: List[Dict[str, Any]]) -> None:
    """Tell who we are, and which roots do not answer."""
    told = {"agent": process.own_identity(), "archive": program.archive(), "time": time.time(), "hanging": hanging}
    records.write_record(machine.path_of(agent_process.RECORD), told, durable=False)


#: A keeper that hangs is not waited for any longer, seconds.
_ENDING_S = 1.0


class _Missing(NamedTuple):
    """A root that was not there: it is passed over `until` then (monotonic seconds), for `pause` seconds."""

    until: float
    pause: float
    #: When it had been asked about last by then.
    told_at: float


class Agent:
    """State kept between two looks. Touches no volume itself: that is left to the keeper of each root."""

    def __init__(self) -> None:
        self._keepers: Dict[str, RootKeeper] = {}
        self._missing: Dict[str, _Missing] = {}
        self._gpus: Dict[int, GpuSource] = {}
        self._told_hanging: List[Dict[str, Any]] = []

    def let_go(self) -> bool:
        """End the keepers, which the next look makes anew; whether they have ended."""
        for path in list(self._keepers):
            self._keepers.pop(path).close()
        return apart.all_ended(_ENDING_S)

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
                watch.forget()

    def look(self) -> bool:
        """One look at every root, and the start of what can start; whether there is anything to look after.

        A root that does not answer in time is left to its keeper, and taken up again when that has an answer.
        """
        try:
            self._follow(machine.roots())
            answered = self._without_missing(self._look_at_roots())
            verdict = run_queue.give_out(
                [(keeper.root, keeper.waiting) for keeper in answered],
                self.samples,
                lambda root: self._keepers[root.outputs_dir].identity,
            )
            self._start(verdict, answered)
            self._tell_hanging(verdict)
        except OSError:
            return True
        return any(keeper.is_busy for keeper in self._keepers.values())

    def _follow(self, roots: List[machine.Root]) -> None:
        known = {root.outputs_dir: root for root in roots}
        for gone in [path for path in self._keepers if path not in known]:
            self._keepers.pop(gone).close()
        new = [root for root in roots if root.outputs_dir not in self._keepers and not self._is_missed(root)]
        for root in sorted(new, key=lambda root: root.told_at)[-_AT_ONCE:]:
            self._keepers[root.outputs_dir] = RootKeeper(root)
        for path, keeper in self._keepers.items():
            keeper.begin_look(known[path])

    def _is_missed(self, root: machine.Root) -> bool:
        """Whether it was not there a while ago, and nobody has asked about it since."""
        missing = self._missing.get(root.outputs_dir)
        return missing is not None and time.monotonic() < missing.until and root.told_at <= missing.told_at

    def _without_missing(self, keepers: List[RootKeeper]) -> List[RootKeeper]:
        """Keep no process for a root that is gone, as a machine may have known hundreds."""
        for keeper in keepers:
            path = keeper.root.outputs_dir
            if keeper.is_there:
                self._missing.pop(path, None)
                continue
            before = self._missing.get(path)
            pause = min(_MISSING_MOST_S, 2 * before.pause if before else _MISSING_S)
            self._missing[path] = _Missing(time.monotonic() + pause, pause, keeper.root.told_at)
            self._keepers.pop(path).close()
        return [keeper for keeper in keepers if keeper.is_there]

    def _look_at_roots(self) -> List[RootKeeper]:
        until = time.monotonic() + _ANSWER_S
        return [
            keeper
            for keeper in self._keepers.values()
            if keeper.looked(time.monotonic() if keeper.is_late(_ANSWER_S) else until)
        ]

    def _start(self, verdict: run_queue.Verdict, keepers: List[RootKeeper]) -> None:
        asked = []
        for keeper in keepers:
            mine = {one.path for one in keeper.waiting}
            starts = {path: gpus for path, gpus in verdict.starts.items() if path in mine}
            if starts:
                keeper.begin_starts(starts)
                asked.append(keeper)
        until = time.monotonic() + _ANSWER_S
        for keeper in asked:
            verdict.why.update(keeper.started(until))

    def _tell_hanging(self, verdict: run_queue.Verdict) -> None:
        silent: Dict[str, Optional[str]] = {}
        hanging = []
        for path, keeper in self._keepers.items():
            since = keeper.hangs_since()
            if since is not None:
                hanging.append({"outputs_dir": path, "project": keeper.root.project, "since": round(since)})
                moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(since))
                silent[path] = "its volume has not answered since {}".format(moment)
            elif not keeper.is_ready:
                silent[path] = None
        if hanging != self._told_hanging:
            self._told_hanging = hanging
            _leave_word(hanging)
        run_queue.tell(verdict, silent)

    def samples(self, simulate: int) -> List[Dict[str, Any]]:
        """GPU samples of now; the driver is asked only when a run waits for a GPU."""
        if simulate not in self._gpus:
            self._gpus[simulate] = GpuSource(simulate)
        gpus: List[Dict[str, Any]] = self._gpus[simulate].report()["gpus"]
        return gpus


def _mark(path: str) -> "tuple[int, int]":
    try:
        info = os.stat(path)
    except OSError:
        return (0, 0)
    return (info.st_mtime_ns, info.st_size)
