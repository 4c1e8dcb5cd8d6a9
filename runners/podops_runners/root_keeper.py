"""What the agent does with one outputs root, in a process of its own: its volume may hang, and the others must not."""

import os
import time

from podops_runners import gpu_claims, machine, moving, process, run_queue
from podops_runners.apart import Apart
from podops_runners.machine import Root
from podops_runners.recover import Recovery
from podops_runners.rundir import Layout, RunDir
from podops_runners.typed import Any, Dict, List, Mapping, Optional, Sequence
from podops_runners.waiting import Waiting, WaitingRuns

#: A root that has not answered for so long is said to hang, seconds.
HANGS_S = 10.0


class RootKeeper:
    """The agent's end. Never raises but `OSError` where no process can be made."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self._apart = Apart(_Work())
        self.identity = _identity(self._apart.pid)
        self._asked = ""
        #: Runs that wait, as found last, and how many others there were to look after.
        self.waiting: List[Waiting] = []
        self._active = 0
        #: Whether the root was there when it was looked at last.
        self.is_there = True

    @property
    def is_ready(self) -> bool:
        return not self._apart.busy

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to look after here."""
        return bool(self._active or self.waiting or self._apart.busy)

    def hangs_since(self) -> Optional[float]:
        """Unix time of the question that has found no answer for too long."""
        waited = self._apart.waiting_s
        return time.time() - waited if waited > HANGS_S else None

    def is_late(self, seconds: float) -> bool:
        """Whether what it was asked has taken longer than this already: it is not waited for any more."""
        return self._apart.waiting_s > seconds

    def begin_look(self, root: Root) -> None:
        """Ask for a look, unless something is under way."""
        if self.is_ready:
            self.root = root
            self._ask("look", {})

    def looked(self, until: float) -> bool:
        """Whether a look has been answered by `until` (monotonic seconds); `waiting` tells what it found."""
        answer = self._answer(until)
        if answer is None or self._asked != "look":
            return False
        self.waiting, self._active = run_queue.waiting_of(answer), answer["active"]
        self.is_there = answer["there"]
        return True

    def begin_starts(self, starts: Mapping[str, Sequence[int]]) -> None:
        """Ask for the start of these runs, on GPUs that were claimed for them."""
        self._ask("start", {"starts": {path: list(gpus) for path, gpus in starts.items()}})

    def started(self, until: float) -> Dict[str, str]:
        """Why runs could not be started, by their directories, as far as that is known by `until`."""
        answer = self._answer(until) or {}
        return dict(answer.get("problems", {}))

    def close(self) -> None:
        self._apart.close()

    def _ask(self, what: str, fields: Dict[str, Any]) -> None:
        if self._apart.busy:
            return
        self._asked = what
        try:
            self._apart.ask(dict(fields, do=what, root=self.root._asdict(), layout=self.root.layout._asdict()))
        except OSError:
            self._begin_anew()

    def _answer(self, until: float) -> Optional[Dict[str, Any]]:
        try:
            return self._apart.answer(until) if self._apart.busy else None
        except (OSError, EOFError):
            self._begin_anew()
            return None

    def _begin_anew(self) -> None:
        """Its process has ended, though nobody told it to."""
        self._apart.close()
        self._apart = Apart(_Work())
        self.identity = _identity(self._apart.pid)


class _Work:
    """The other end. What it has read stays with it, so that a look is cheap."""

    def __init__(self) -> None:
        self._recovery = Recovery()
        self._runs = WaitingRuns()
        self._cleared = False

    def __call__(self, question: Dict[str, Any]) -> Dict[str, Any]:
        root = Root(**dict(question["root"], layout=Layout(**question["layout"])))
        if question["do"] == "start":
            return {"problems": self._start(root, question["starts"])}
        if not os.path.isdir(root.outputs_dir):
            return {"there": False, "active": 0, "waiting": []}
        if not self._cleared:
            self._cleared = True
            self._clear(root)
        return {"there": True, "active": self._active(root), "waiting": self._waiting(root)}

    def _active(self, root: Root) -> int:
        try:
            found = len(self._recovery.look(root))
            self._recovery.looked_at_all()
            return found
        except OSError:
            return 0

    def _waiting(self, root: Root) -> List[Waiting]:
        try:
            return self._runs.look(root)
        except OSError:
            return []

    def _clear(self, root: Root) -> None:
        """Take away what processes that were killed have left half done."""
        try:
            with machine.locked(run_queue.lock_of(root.outputs_dir)):
                moving.clear(root.outputs_dir)
        except OSError:
            pass

    def _start(self, root: Root, starts: Dict[str, List[int]]) -> Dict[str, str]:
        problems = {}
        for path, gpus in starts.items():
            try:
                problem = run_queue.start(RunDir(path, root.layout), root, gpus)
            except OSError as error:
                problem = str(error)
                gpu_claims.give_back(path)
            if problem:
                problems[path] = problem
        return problems


def _identity(pid: int) -> Dict[str, Any]:
    found = process.identity(pid)
    return {} if found is None else found._asdict()
