"""The queue of a machine: which runs wait, what each waits for, and the pass that starts those that need not."""

import json
import os
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from podops_runners import gpu_claims, machine, moving, process, protocol, records, states, ticket
from podops_runners.machine import Root
from podops_runners.order import Decision, Gpus, Want, decide
from podops_runners.record_cache import FileCache, RecordCache
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event
from podops_runners.runid import is_valid_run_id
from podops_runners.submit_error import SubmitError
from podops_runners.ticket import Ticket

#: The lock under which runs are started, held and moved.
LOCK = "queue"

#: While this file is there, no run is taken into the queue.
_CLOSED = "queue.closed"

#: What the queue last said of each waiting run, for whoever shows it.
_WHY = "waiting.json"

#: GPU samples of this machine; simulated ones when so many are asked for.
Sampler = Callable[[int], List[Dict[str, Any]]]


class Waiting(NamedTuple):
    """One unclaimed run that belongs to this machine."""

    root: Root
    run: RunDir
    #: `gpus` of its spec.
    gpus: Any
    ticket: Ticket
    held: bool

    def order(self) -> Tuple[int, float, str]:
        return (*self.ticket.order(), self.run.run_id)


class Queue:
    """Reads again and again what waits under the roots of this machine; keeps what it has read, to be quick."""

    def __init__(self) -> None:
        self._tickets = FileCache(lambda path: ticket.parse(records.read_record(path)[0]))
        self._gpus = FileCache(_asked)
        self._summaries = RecordCache()

    def waiting(self, root: Root) -> List[Waiting]:
        """The waiting runs of one root, in no order. Raises `OSError` when it cannot be listed."""
        found = []
        for run in runs_under(root):
            if os.path.exists(run.summary) or os.path.exists(run.claim):
                self._tickets.forget(run.ticket)
                self._gpus.forget(run.spec)
                continue
            place = self._tickets.look(run.ticket)
            if place is None or not is_ours(place, root):
                continue
            asked = self._gpus.look(run.spec)
            if asked is not None:
                found.append(Waiting(root, run, asked[0], place, is_held(run)))
        return found

    def start_what_can(self, roots: List[Root], sampler: Sampler) -> int:
        """One pass over the roots; how many runs still wait afterwards.

        Runs whose parents failed are ended here. Trouble with one run or root never keeps the others from starting.
        """
        with machine.locked(LOCK):
            waiting: List[Waiting] = []
            for root in roots:
                try:
                    waiting.extend(self.waiting(root))
                except OSError:
                    continue
            waiting.sort(key=Waiting.order)
            why: Dict[str, str] = {}
            ready = [one for one in waiting if self._is_ready(one, why)]
            for simulated in (False, True):
                self._start([one for one in ready if bool(one.root.simulate_gpus) == simulated], sampler, why)
            _tell(why, [one.run.path for one in waiting if not one.held and one.run.path in why])
        for cache in (self._tickets, self._gpus, self._summaries):
            cache.forget_the_rest()
        return len(why)

    def _is_ready(self, one: Waiting, why: Dict[str, str]) -> bool:
        if one.held:
            why[one.run.path] = "held"
            return False
        verdict, text = parents(one, self._summaries)
        if verdict == "fail":
            _end(one, text)
            return False
        if one.ticket.not_before > time.time():
            moment = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(one.ticket.not_before))
            why[one.run.path] = "not before {}".format(moment)
            return False
        if verdict == "wait":
            why[one.run.path] = text
        return verdict == "go"

    def _start(self, ready: List[Waiting], sampler: Sampler, why: Dict[str, str]) -> None:
        gpus = Gpus()
        roots = [one.root for one in ready if one.gpus]
        if roots:
            samples = sampler(roots[0].simulate_gpus)
            # How much memory is nobody's is a fact of the machine: the project that allows most knows it.
            busy_memory = max(root.busy_memory for root in roots)
            gpus = gpu_claims.seen(samples, busy_memory, bool(roots[0].simulate_gpus))
        decisions = {decision.key: decision for decision in decide([_want(one) for one in ready], gpus)}
        for one in ready:
            decision = decisions[one.run.path]
            if decision.gpus is None:
                why[one.run.path] = decision.why
            else:
                _launch(one, decision, why)


def close() -> None:
    """Take no more runs; once this returns, every run that ever will be there is in its directory. Raises `OSError`."""
    with machine.locked(LOCK):
        records.write_bytes(machine.path_of(_CLOSED), b"")


def reopen() -> None:
    """Take runs again. Raises `OSError`."""
    if is_closed():
        os.unlink(machine.path_of(_CLOSED))


def is_closed() -> bool:
    """Whether no run is taken; true for good only under the lock. Raises `OSError`."""
    return os.path.exists(machine.path_of(_CLOSED))


def runs_under(root: Root) -> Iterator[RunDir]:
    """Every directory of a root that can be a run. Raises `OSError`."""
    with os.scandir(root.outputs_dir) as entries:
        names = [entry.name for entry in entries if is_valid_run_id(entry.name)]
    for name in names:
        yield RunDir(os.path.join(root.outputs_dir, name), root.layout)


def is_ours(place: Ticket, root: Root) -> bool:
    """Whether this machine may start it: it accepted it, or it is the pod of that name made anew."""
    return place.machine_id == process.machine_id() or bool(root.pod and place.pod == root.pod)


def is_held(run: RunDir) -> bool:
    """Whether it does not start until somebody says so: held by a user, or on its way to another pod."""
    return os.path.exists(run.held) or moving.is_on_its_way(run)


def parents(one: Waiting, cache: Optional[RecordCache] = None) -> Tuple[str, str]:
    """`go`, `wait` or `fail`, and why, by the runs this one comes after."""
    look = (cache or RecordCache()).read
    for names, must_succeed in ((one.ticket.after, True), (one.ticket.after_any, False)):
        for name in names:
            parent = RunDir(os.path.join(one.root.outputs_dir, name), one.root.layout)
            summary, _ = look(parent.summary)
            if summary is not None:
                if must_succeed and summary.get("ok") is not True:
                    how = "was cancelled" if summary.get("state") == states.CANCELLED else "failed"
                    return "fail", "run {}, which it comes after, {}: {}".format(name, how, summary.get("reason"))
            elif os.path.isdir(parent.path):
                return "wait", "waits for run {}".format(name)
            elif must_succeed and os.path.isdir(one.root.outputs_dir):
                return "fail", "run {}, which it comes after, does not exist any more".format(name)
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
    # Without the line breaks of a record: a thousand of them are most of the time it takes to write it.
    text = json.dumps({"schema": records.SCHEMA, "why": why, "order": order})
    try:
        records.write_bytes(machine.path_of(_WHY), text.encode("utf-8", "surrogatepass"), durable=False)
    except OSError:
        pass


def _asked(path: str) -> Optional[Tuple[Any]]:
    """What a spec asks for of GPUs, in a tuple; `None` for a spec that cannot be read."""
    spec, _ = records.read_record(path)
    return None if spec is None else (spec.get("gpus"),)


def _want(one: Waiting) -> Want:
    wanted = one.gpus
    if not isinstance(wanted, dict):
        return Want(one.run.path)
    indices = wanted.get("indices")
    return Want(
        one.run.path,
        int(records.number(wanted.get("count")) or 0),
        wanted.get("all") is True,
        tuple(index for index in indices if isinstance(index, int)) if isinstance(indices, list) else (),
    )


def _launch(one: Waiting, decision: Decision, why: Dict[str, str]) -> None:
    # Here, because whoever only looks at the queue starts nothing.
    from podops_runners import launch

    spec, problem = records.read_record(one.run.spec)
    try:
        if spec is None:
            raise SubmitError(protocol.E_FAILED, problem or "it has no run_spec.json")
        launch.launch(one.run, spec, decision.gpus or (), one.ticket.attempts)
    except FileExistsError:
        pass  # somebody else has started it
    except (SubmitError, ValueError, OSError) as error:
        why[one.run.path] = str(error)


def _end(one: Waiting, why: str) -> None:
    from podops_runners import launch

    try:
        launch.end_unstarted(one.run, states.FAILED, "dependency_failed", why)
    except OSError:
        event(one.run, "trouble", detail="its end could not be written")
