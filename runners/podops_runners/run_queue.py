"""The queue of a machine: who starts next over all its outputs roots, and the start itself.

No lock of the machine is held while a volume is touched, as one that hangs would stop every project here: GPUs are
given out under the machine's lock, by what was found on the volumes before, and a start makes sure under the lock of
its own root that the run still waits.
"""

import json
import os
import time
import zlib
from contextlib import contextmanager

from podops_runners import gpu_claims, machine, process, protocol, queue_gate, records, ticket
from podops_runners.apart import Apart
from podops_runners.machine import Root
from podops_runners.order import Gpus, Want, decide
from podops_runners.record_cache import RecordCache
from podops_runners.rundir import RunDir
from podops_runners.submit_error import SubmitError
from podops_runners.typed import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from podops_runners.waiting import Waiting, WaitingRuns, is_held

#: The lock under which GPUs are given out.
_LOCK = "queue"

#: What the queue last said of each waiting run, for whoever shows it.
_WHY = "waiting.json"

#: A submit waits so long at most for what waits on the volumes of other projects, seconds.
_OTHERS_S = 2.0

#: GPU samples of this machine; simulated ones when so many are asked for.
Sampler = Callable[[int], List[Dict[str, Any]]]

#: The runs found under each root.
Found = Sequence[Tuple[Root, Sequence[Waiting]]]


class Verdict(NamedTuple):
    """`starts`: the GPUs of each run that starts now. `why`: what each of the others waits for. `order`: its turn."""

    starts: Dict[str, Tuple[int, ...]]
    why: Dict[str, str]
    order: List[str]


def lock_of(outputs_dir: str) -> str:
    """The lock under which runs of one root are made, started, held and moved."""
    return "queue-{:08x}".format(zlib.crc32(os.fsencode(outputs_dir)))


@contextmanager
def taking(outputs_dir: str) -> Iterator[None]:
    """For whoever makes a run under this root. Raises `OSError`."""
    with queue_gate.taking(), machine.locked(lock_of(outputs_dir)):
        yield


class Queue:
    """What a submit needs of the queue: a pass that starts what can start under its own root."""

    def __init__(self) -> None:
        self._runs = WaitingRuns()

    def start_what_can(self, root: Root, others: List[Root], sampler: Sampler) -> Dict[str, str]:
        """What each run that still waits waits for, by its directory. Raises `OSError`.

        The runs of other roots have their turn, too, but it is the agent that starts them; a root that does not
        answer is passed over.
        """
        elsewhere, silent = _look_at(others)
        found = [(root, self._runs.look(root)), *elsewhere]
        verdict = give_out(found, sampler, lambda one: None if one is not root else process.own_identity())
        for path, gpus in verdict.starts.items():
            problem = start(RunDir(path, root.layout), root, gpus)
            if problem:
                verdict.why[path] = problem
        tell(verdict, dict.fromkeys(silent))
        return verdict.why


def _look_at(roots: List[Root]) -> Tuple[List[Tuple[Root, List[Waiting]]], List[str]]:
    """What waits under these roots, each looked at by a process of its own; the last are those that did not answer."""
    found, silent = [], []
    lookers = [(root, Apart(_looker(root))) for root in roots]
    until = time.monotonic() + _OTHERS_S
    for root, looker in lookers:
        try:
            looker.ask({})
            answer = looker.answer(until)
        except (OSError, EOFError):
            continue  # it is not there, or cannot be listed
        finally:
            looker.close()
        if answer is None:
            silent.append(root.outputs_dir)
        else:
            found.append((root, waiting_of(answer)))
    return found, silent


def _looker(root: Root) -> Callable[[Dict[str, Any]], Dict[str, Any]]:
    return lambda _: {"waiting": WaitingRuns().look(root)}


def waiting_of(answer: Dict[str, Any]) -> List[Waiting]:
    """The waiting runs of an answer that came as JSON."""
    return [Waiting(path, tuple(order), *rest) for path, order, *rest in answer["waiting"]]


def give_out(found: Found, sampler: Sampler, starter: Callable[[Root], Optional[Dict[str, Any]]]) -> Verdict:
    """Decide who starts, and claim GPUs for those that do. Raises `OSError`.

    `starter` names the process that starts the runs of a root, as a stored identity; `None`: they are not started.
    """
    everything = sorted(((root, one) for root, runs in found for one in runs), key=lambda pair: pair[1].order)
    verdict = Verdict({}, {one.path: one.why for _, one in everything if one.why}, [])
    for simulated in (False, True):
        ready = [(root, one) for root, one in everything if not one.why and bool(root.simulate_gpus) == simulated]
        if ready:
            _give_out(ready, sampler, starter, simulated, verdict)
    verdict.order.extend(one.path for _, one in everything if not one.held and one.path in verdict.why)
    return verdict


def _give_out(
    ready: List[Tuple[Root, Waiting]],
    sampler: Sampler,
    starter: Callable[[Root], Optional[Dict[str, Any]]],
    simulated: bool,
    verdict: Verdict,
) -> None:
    roots = [root for root, one in ready if one.gpus]
    samples = sampler(roots[0].simulate_gpus) if roots else []
    # How much memory is nobody's is a fact of the machine: the project that allows most knows it.
    busy_memory = max((root.busy_memory for root in roots), default=0)
    dead = gpu_claims.dead(simulated)
    with machine.locked(_LOCK):
        claimed = gpu_claims.run_dirs(simulated, dead)
        # What holds GPUs is being started by somebody else, or has been since it was found.
        ready = [(root, one) for root, one in ready if one.path not in claimed]
        gpus = gpu_claims.seen(samples, busy_memory, simulated, dead) if roots else Gpus()
        decisions = decide([_want(one) for _, one in ready], gpus)
        for position, (root, one) in enumerate(ready):
            decision = decisions[position]
            by = starter(root)
            if decision.gpus is None:
                verdict.why[one.path] = decision.why
            elif by is None:
                verdict.why[one.path] = "waits for the agent of its pod"
            else:
                if decision.gpus:
                    gpu_claims.claim(decision.gpus, one.path, simulated, by, dead)
                verdict.starts[one.path] = decision.gpus


def start(run: RunDir, root: Root, gpus: Sequence[int]) -> str:
    """Start a run that still waits, on GPUs that `give_out` claimed for it; else why it could not be started.

    Gives the GPUs back when it does not wait any more. Raises `OSError`.
    """
    with machine.locked(lock_of(root.outputs_dir)):
        started, why = False, ""
        try:
            started, why = _start(run, gpus)
        finally:
            if gpus and not started:
                gpu_claims.give_back(run.path)
        return why


def _start(run: RunDir, gpus: Sequence[int]) -> Tuple[bool, str]:
    """Whether it was started here, else why not, where there is anything to say."""
    # Here, because whoever only looks at the queue starts nothing.
    from podops_runners import launch

    place = ticket.read(run)
    gone = os.path.exists(run.summary) or is_held(run) or os.path.exists(run.claim)
    if gone or place is None:
        return False, ""
    spec, problem = records.read_record(run.spec)
    try:
        if spec is None:
            raise SubmitError(protocol.E_FAILED, problem or "it has no run_spec.json")
        launch.launch(run, spec, gpus, place.attempts)
    except FileExistsError:
        return False, ""  # somebody else has started it
    except (SubmitError, ValueError, OSError) as error:
        return False, str(error)
    return True, ""


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


def tell(verdict: Verdict, silent: Dict[str, Optional[str]]) -> None:
    """Leave word of a pass; of roots that are `silent` what was told last stays, for another reason if it has one."""
    before, order = told()
    why = dict(verdict.why)
    for path, text in before.items():
        root = os.path.dirname(path)
        if root in silent:
            why.setdefault(path, silent[root] or text)
    kept = verdict.order + [path for path in order if path in why and path not in verdict.why]
    if (before, order) == (why, kept):
        return
    # Without the line breaks of a record: a thousand of them are most of the time it takes to write it.
    text = json.dumps({"schema": records.SCHEMA, "why": why, "order": kept})
    try:
        records.write_bytes(machine.path_of(_WHY), text.encode("utf-8", "surrogatepass"), durable=False)
    except OSError:
        pass


def _want(one: Waiting) -> Want:
    wanted = one.gpus
    if not isinstance(wanted, dict):
        return Want(one.path)
    indices = wanted.get("indices")
    return Want(
        one.path,
        int(records.number(wanted.get("count")) or 0),
        wanted.get("all") is True,
        tuple(index for index in indices if isinstance(index, int)) if isinstance(indices, list) else (),
    )
