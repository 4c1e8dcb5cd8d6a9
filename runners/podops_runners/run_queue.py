"""The queue of a machine: which runs wait, what each waits for, and the pass that starts those that need not."""

import os
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from podops_runners import gpu_claims, launch, machine, process, records, states, ticket
from podops_runners.machine import Root
from podops_runners.order import Decision, Gpus, Want, decide
from podops_runners.record_cache import RecordCache
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event
from podops_runners.runid import is_valid_run_id
from podops_runners.submit_error import SubmitError
from podops_runners.ticket import Ticket

#: The lock under which runs are started, held and moved.
LOCK = "queue"

#: What the queue last said of each waiting run, for whoever shows it.
_WHY = "waiting.json"

#: GPU samples of this machine; simulated ones when so many are asked for.
Sampler = Callable[[int], List[Dict[str, Any]]]


class Waiting(NamedTuple):
    """One unclaimed run that belongs to this machine."""

    root: Root
    run: RunDir
    spec: Dict[str, Any]
    ticket: Ticket
    held: bool


class Queue:
    """Reads again and again what waits under the roots of this machine."""

    def __init__(self) -> None:
        self._cache = RecordCache()

    def waiting(self, root: Root) -> List[Waiting]:
        """The waiting runs of one root, in no order. Raises `OSError` when it cannot be listed."""
        found = []
        for run in runs_under(root):
            if os.path.exists(run.summary) or os.path.exists(run.claim):
                self._cache.forget(run.ticket)
                continue
            place = ticket.parse(self._cache.read(run.ticket)[0])
            if place is None or not is_ours(place, root):
                continue
            spec, _ = self._cache.read(run.spec)
            if spec is not None:
                found.append(Waiting(root, run, spec, place, os.path.exists(run.held)))
        return found

    def start_what_can(self, roots: List[Root], sampler: Sampler) -> List[str]:
        """One pass over the roots: the directories of the runs that were started.

        Runs whose parents failed are ended here. Trouble with one run or root never keeps the others from starting.
        """
        with machine.locked(LOCK):
            waiting: List[Waiting] = []
            for root in roots:
                try:
                    waiting.extend(self.waiting(root))
                except OSError:
                    continue
            waiting.sort(key=lambda one: one.ticket.order())
            why: Dict[str, str] = {}
            ready = [one for one in waiting if self._is_ready(one, why)]
            started = []
            for simulated in (False, True):
                batch = [one for one in ready if bool(one.root.simulate_gpus) == simulated]
                started.extend(self._start(batch, sampler, why))
            _tell(why, [one.run.path for one in waiting if not one.held and one.run.path in why])
            return started

    def _is_ready(self, one: Waiting, why: Dict[str, str]) -> bool:
        if one.held:
            why[one.run.path] = "held"
            return False
        if one.ticket.not_before > time.time():
            moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(one.ticket.not_before))
            why[one.run.path] = "not before {}".format(moment)
            return False
        verdict, text = parents(one, self._cache)
        if verdict == "fail":
            _end(one, text)
            return False
        if verdict == "wait":
            why[one.run.path] = text
        return verdict == "go"

    def _start(self, ready: List[Waiting], sampler: Sampler, why: Dict[str, str]) -> List[str]:
        gpus = Gpus()
        if any(one.spec.get("gpus") for one in ready):
            root = next(one.root for one in ready if one.spec.get("gpus"))
            samples = sampler(root.simulate_gpus)
            gpus = gpu_claims.seen(samples, root.busy_memory, bool(root.simulate_gpus))
        decisions = {decision.key: decision for decision in decide([_want(one) for one in ready], gpus)}
        started = []
        for one in ready:
            decision = decisions[one.run.path]
            if decision.gpus is None:
                why[one.run.path] = decision.why
            elif _launch(one, decision, why):
                started.append(one.run.path)
        return started


def runs_under(root: Root) -> Iterator[RunDir]:
    """Every directory of a root that can be a run. Raises `OSError`."""
    with os.scandir(root.outputs_dir) as entries:
        names = [entry.name for entry in entries if is_valid_run_id(entry.name)]
    for name in names:
        yield RunDir(os.path.join(root.outputs_dir, name), root.layout)


def is_ours(place: Ticket, root: Root) -> bool:
    """Whether this machine may start it: it accepted it, or it is the pod of that name made anew."""
    return place.machine_id == process.machine_id() or bool(root.pod and place.pod == root.pod)


def parents(one: Waiting, cache: Optional[RecordCache] = None) -> Tuple[str, str]:
    """`go`, `wait` or `fail`, and why, by the runs this one comes after."""
    look = (cache or RecordCache()).read
    for names, must_succeed in ((one.ticket.after, True), (one.ticket.after_any, False)):
        for name in names:
            parent = RunDir(os.path.join(one.root.outputs_dir, name), one.root.layout)
            summary, _ = look(parent.summary)
            if summary is not None:
                if must_succeed and summary.get("ok") is not True:
                    state = summary.get("state") or states.FAILED
                    return "fail", "run {} it comes after {}: {}".format(name, state, summary.get("reason"))
            elif os.path.isdir(parent.path):
                return "wait", "waits for run {}".format(name)
            elif must_succeed and os.path.isdir(one.root.outputs_dir):
                return "fail", "run {} it comes after does not exist any more".format(name)
    return "go", ""


def told(cache: Optional[RecordCache] = None) -> Tuple[Dict[str, str], List[str]]:
    """What the last pass said, by run directory, and the directories that wait for their turn, in its order."""
    try:
        record, _ = (cache or RecordCache()).read(machine.path_of(_WHY))
    except OSError:
        return {}, []
    why, order = (record or {}).get("why"), (record or {}).get("order")
    return (
        {path: str(text) for path, text in why.items()} if isinstance(why, dict) else {},
        [path for path in order if isinstance(path, str)] if isinstance(order, list) else [],
    )


def _tell(why: Dict[str, str], order: List[str]) -> None:
    if told() == (why, order):
        return
    try:
        records.write_record(machine.path_of(_WHY), {"why": why, "order": order}, durable=False)
    except OSError:
        pass


def _want(one: Waiting) -> Want:
    wanted = one.spec.get("gpus")
    if not isinstance(wanted, dict):
        return Want(one.run.path)
    indices = wanted.get("indices")
    return Want(
        one.run.path,
        int(records.number(wanted.get("count")) or 0),
        wanted.get("all") is True,
        tuple(index for index in indices if isinstance(index, int)) if isinstance(indices, list) else (),
    )


def _launch(one: Waiting, decision: Decision, why: Dict[str, str]) -> bool:
    try:
        launch.launch(one.run, one.spec, decision.gpus or (), one.ticket.attempts)
    except FileExistsError:
        return False
    except (SubmitError, ValueError, OSError) as error:
        why[one.run.path] = str(error)
        return False
    return True


def _end(one: Waiting, why: str) -> None:
    try:
        launch.end_unstarted(one.run, states.FAILED, "dependency_failed", why)
    except OSError:
        event(one.run, "trouble", detail="its end could not be written")
