"""Runs whose supervisor is gone: taken over while there is anything to learn, else ended with what is known."""

import os
import time

from podops_runners import end_facts, launch, process, records, run_claim, states, ticket
from podops_runners.machine import Root
from podops_runners.policies import read_policies
from podops_runners.record_cache import RecordCache
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event
from podops_runners.shim import left_behind
from podops_runners.typed import Any, Dict, List, Optional
from podops_runners.waiting import runs_under

#: A started supervisor may take this long to take its claim; when whoever starts it has gone, perhaps before it did,
#: only so long, seconds.
_COMING_S, _PERHAPS_COMING_S = 30.0, 5.0

#: After so many take-overs of one run each further one waits, seconds.
_PATIENT_AFTER, _PATIENCE_S = 5, 60.0

#: A run of another machine is given up only when its heartbeat is older than this, and than three intervals, seconds.
_SURELY_DEAD_S = 120.0


class Recovery:
    """Looks after every claimed run of this machine."""

    def __init__(self) -> None:
        self._cache = RecordCache()

    def looked_at_all(self) -> None:
        """Every root has been looked at: what was not met on the way is gone."""
        self._cache.forget_the_rest()

    def look(self, root: Root) -> List[str]:
        """Directories of the claimed runs without a summary. Raises `OSError` when the root cannot be listed."""
        active = []
        for run in runs_under(root):
            if os.path.exists(run.summary):
                self._cache.forget(run.claim)
                continue
            claim, _ = self._cache.read(run.claim)
            if claim is None:
                continue
            active.append(run.path)
            try:
                _look_after(run, claim, root)
            except OSError:
                continue  # the volume refuses just now; the next look comes soon
        return active


def _look_after(run: RunDir, claim: Dict[str, Any], root: Root) -> None:
    if claim.get("machine_id") != process.machine_id():
        if root.pod and _pod_of(run) == root.pod and _silent_for_long(run):
            _lost(run, claim, "pod {} was made anew, its former machine is gone".format(root.pod))
    elif claim.get("boot_id") != process.boot_id():
        _lost(run, claim, "the pod was rebooted while it ran")
    elif not process.is_alive(claim.get("supervisor")):
        _take_over(run, claim)


def _take_over(run: RunDir, claim: Dict[str, Any]) -> None:
    age = time.time() - (records.number(claim.get("time")) or 0.0)
    patience = _COMING_S if process.is_alive(claim.get("by")) else _PERHAPS_COMING_S
    if claim.get("supervisor") is None and 0 <= age < patience:
        return
    if (records.number(claim.get("adoptions")) or 0) >= _PATIENT_AFTER and 0 <= age < _PATIENCE_S:
        return
    spec, _ = records.read_record(run.spec)
    if spec is None:
        return
    token = run_claim.renew(run, claim)
    if token is not None:
        event(run, "supervisor_died", adoptions=int(records.number(claim.get("adoptions")) or 0) + 1)
        launch.start_supervisor(run, spec, token)


def _lost(run: RunDir, claim: Dict[str, Any], why: str) -> None:
    """End it as lost with its pod, or put it back into the queue where the preset says so.

    An end that was seen before the pod went is the true one.
    """
    spec, _ = records.read_record(run.spec)
    attempts = int(records.number(claim.get("attempt")) or 1)
    retries = read_policies(spec or {}).retries
    told = end_facts.end_of(run, attempts) or _end_with_pod(run, claim, attempts, why)
    begun = left_behind(run, attempts, claim) is not None
    goes_on = told["state"] == states.FAILED or told["reason"] == "preempted"
    final = begun and not (goes_on and retries.cover(told["reason"]) and attempts <= retries.max)
    if spec is None or final or os.path.exists(run.kill_request):
        ended, code, number = (records.number(told.get(name)) for name in ("ended", "exit_code", "signal"))
        launch.end_unstarted(
            run,
            told["state"],
            told["reason"],
            str(told.get("detail") or ""),
            attempts,
            ended,
            None if code is None else int(code),
            None if number is None else int(number),
        )
        return
    # First what the next start needs to know: whoever finds the run unclaimed starts it.
    place = ticket.from_spec(dict(spec, queue={}))
    before = ticket.read(run)
    if before is not None:
        place = before._replace(machine_id=place.machine_id, pod=place.pod, not_before=0.0)
    ticket.write(run, place._replace(attempts=attempts if begun else attempts - 1))
    if begun and not end_facts.tells_attempt(run.attempts, attempts):
        records.append_line(run.attempts, told)
    if run_claim.give_up(run, claim):
        event(run, "requeued", detail=why, attempts=attempts if begun else attempts - 1)


def _end_with_pod(run: RunDir, claim: Dict[str, Any], attempts: int, why: str) -> Dict[str, Any]:
    """A line of `attempts.jsonl` for an attempt that ended with its pod."""
    stored = claim.get("beginning")
    beginning = stored if isinstance(stored, dict) else {}
    return {
        "attempt": attempts,
        "started": records.number(beginning.get("time")),
        "ended": _last_sign(run),
        "state": states.FAILED,
        "reason": "pod_lost",
        "detail": why,
        "log_start": beginning.get("log_start"),
        "log_end": _size(run.stdout_log),
    }


def _pod_of(run: RunDir) -> str:
    spec, _ = records.read_record(run.spec)
    return str((spec or {}).get("pod") or "")


def _silent_for_long(run: RunDir) -> bool:
    spec, _ = records.read_record(run.spec)
    interval = records.number((spec or {}).get("watch_interval_s")) or 20.0
    seen = _last_sign(run)
    return seen is not None and time.time() - seen > max(3 * interval, _SURELY_DEAD_S)


def _last_sign(run: RunDir) -> Optional[float]:
    for path in (run.heartbeat, run.claim):
        try:
            return os.stat(path).st_mtime
        except OSError:
            continue
    return None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
