"""The runs that wait under one outputs root, as one look at its volume finds them."""

import os
import time

from podops_runners import moving, process, records, states, ticket
from podops_runners.machine import Root
from podops_runners.record_cache import FileCache, RecordCache
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event
from podops_runners.runid import is_valid_run_id
from podops_runners.ticket import Ticket
from podops_runners.typed import Any, Iterator, List, NamedTuple, Optional, Tuple


class Waiting(NamedTuple):
    """One unclaimed run that belongs to this machine; can be told in JSON."""

    #: Its run directory.
    path: str
    #: Sorts as the queue does.
    order: Tuple[int, float, str]
    #: `gpus` of its spec.
    gpus: Any
    held: bool
    #: What it waits for but GPUs; empty when it may start.
    why: str


class WaitingRuns:
    """Reads again and again what waits under a root; keeps what it has read, to be quick."""

    def __init__(self) -> None:
        self._tickets = FileCache(lambda path: ticket.parse(records.read_record(path)[0]))
        self._gpus = FileCache(_asked)
        self._summaries = RecordCache()

    def look(self, root: Root) -> List[Waiting]:
        """The waiting runs, in no order; those whose parents failed are ended here.

        Trouble with one run never keeps the others from being seen. Raises `OSError` when the root cannot be listed.
        """
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
                held = is_held(run)
                why = "held" if held else self._why(run, root, place)
                if why is not None:
                    found.append(Waiting(run.path, (*place.order(), run.run_id), asked[0], held, why))
        for cache in (self._tickets, self._gpus, self._summaries):
            cache.forget_the_rest()
        return found

    def _why(self, run: RunDir, root: Root, place: Ticket) -> Optional[str]:
        verdict, text = parents(run, root, place, self._summaries)
        if verdict == "fail":
            _end(run, text)
            return None
        if place.not_before > time.time():
            return "not before {}".format(time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(place.not_before)))
        return text if verdict == "wait" else ""


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


def parents(run: RunDir, root: Root, place: Ticket, cache: Optional[RecordCache] = None) -> Tuple[str, str]:
    """`go`, `wait` or `fail`, and why, by the runs this one comes after."""
    look = (cache or RecordCache()).read
    for names, must_succeed in ((place.after, True), (place.after_any, False)):
        for name in names:
            parent = RunDir(os.path.join(root.outputs_dir, name), root.layout)
            summary, _ = look(parent.summary)
            if summary is not None:
                if must_succeed and summary.get("ok") is not True:
                    how = "was cancelled" if summary.get("state") == states.CANCELLED else "failed"
                    return "fail", "run {}, which it comes after, {}: {}".format(name, how, summary.get("reason"))
            elif os.path.isdir(parent.path):
                return "wait", "waits for run {}".format(name)
            elif must_succeed and os.path.isdir(root.outputs_dir):
                return "fail", "run {}, which it comes after, does not exist any more".format(name)
    return "go", ""


def _asked(path: str) -> Optional[Tuple[Any]]:
    """What a spec asks for of GPUs, in a tuple; `None` for a spec that cannot be read."""
    spec, _ = records.read_record(path)
    return None if spec is None else (spec.get("gpus"),)


def _end(run: RunDir, why: str) -> None:
    # Here, because whoever only looks at the queue starts nothing.
    from podops_runners import launch

    try:
        launch.end_unstarted(run, states.FAILED, "dependency_failed", why)
    except OSError:
        event(run, "trouble", detail="its end could not be written")
