"""What the run list tells of a run that waits: for its turn in the queue, or for another attempt."""

import json

from podops_runners import moving, records, run_queue, states, ticket
from podops_runners.record_cache import RecordCache
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, Optional

_TAIL_BYTES = 16 * 1024

#: What a heartbeat says in `phase` between two attempts.
RETRYING = "retrying"


class QueueView:
    """The queue of this machine as its last pass left it; `refresh` before each look at the runs."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._fresh = False
        self._why: Dict[str, str] = {}
        self._places: Dict[str, int] = {}

    def refresh(self) -> None:
        self._fresh = True
        self._why, order = run_queue.told(self._cache)
        self._places = {path: place for place, path in enumerate(order, 1)}

    def of(self, run: RunDir, spec: Dict[str, Any], state: str, machine_id: str, now: float) -> Dict[str, Any]:
        """Fields of the wire run of one that waits in the queue."""
        if not self._fresh:
            self.refresh()
        place = ticket.parse(self._cache.read(run.ticket)[0])
        held = state == states.HELD
        submitted = place.submitted if place else 0.0
        return {
            "detail": _held_for(run) if held else self._why.get(run.path, "waits for the agent of its pod"),
            "place": 0 if held else self._places.get(run.path, 0),
            "waits_s": max(0.0, now - submitted) if submitted else None,
            "priority": place.priority if place else 0,
            "after": list(place.after + place.after_any) if place else [],
            "owned": place is None or place.machine_id == machine_id,
        }


def _held_for(run: RunDir) -> str:
    way = moving.of(run)
    return (
        "is being moved to {0}: `ops queue move {1} --to {0}` finishes that".format(way["to"], run.run_id)
        if way
        else states.AWAITS_RELEASE
    )


def asked_gpus(spec: Dict[str, Any]) -> str:
    """The GPUs a run asks for, as a person types them: `2`, `all`, `0,1`; empty for none."""
    wanted = spec.get("gpus")
    if not isinstance(wanted, dict):
        return ""
    indices = wanted.get("indices")
    if wanted.get("all") is True:
        return "all"
    if isinstance(indices, list) and "count" not in wanted:
        return ",".join(str(index) for index in indices) + ("," if len(indices) == 1 else "")
    count = int(records.number(wanted.get("count")) or 0)
    return str(count) if count else ""


def attempts(run: RunDir, attempt: int, beat: Dict[str, str], age_s: float) -> Dict[str, Any]:
    """When the next attempt of a run comes, and why the last one ended.

    `age_s` is the age of the heartbeat `beat`.
    """
    waits = _seconds(beat.get("wait")) if beat.get("phase") == RETRYING else None
    told = attempt > 1 or waits is not None
    return {
        "retry_in_s": None if waits is None else max(0.0, waits - age_s),
        "last_failure": _last_reason(run.attempts) if told else "",
    }


def _last_reason(path: str) -> str:
    try:
        with open(path, "rb", opener=records.regular_file) as stream:
            stream.seek(max(0, stream.seek(0, 2) - _TAIL_BYTES))
            lines = stream.read(_TAIL_BYTES).split(b"\n")
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            record = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            return str(record.get("reason") or "")
    return ""


def _seconds(text: Optional[str]) -> Optional[float]:
    try:
        return records.number(float(text or ""))
    except (ValueError, OverflowError):
        return None
