"""A run's place in the queue: `.ops/queue.json`, written at the submit, changed only while the run is unclaimed."""

import time

from podops_runners import process, records
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional, Tuple

#: Priorities a user may give; higher goes first.
LOWEST, HIGHEST = -1000, 1000


class Ticket(NamedTuple):
    """What the queue knows of one run. Times are Unix seconds by the pod's clock."""

    #: The machine that accepted it, and the pod name the client knew it by.
    machine_id: str
    pod: str
    submitted: float
    priority: int = 0
    #: It does not start before this moment.
    not_before: float = 0.0
    #: Runs of the same project that must have succeeded, or merely ended.
    after: Tuple[str, ...] = ()
    after_any: Tuple[str, ...] = ()
    #: Attempts made before it was put back into the queue.
    attempts: int = 0

    def order(self) -> Tuple[int, float]:
        """Sorts as the queue does: by priority, then first come."""
        return (-self.priority, self.submitted)


def from_spec(spec: Dict[str, Any]) -> Ticket:
    """The ticket a spec asks for, for this machine and from now on. Raises `ValueError` in words for a person."""
    wanted = spec.get("queue") or {}
    if not isinstance(wanted, dict):
        raise ValueError("`queue` of the spec is not an object")
    now = time.time()
    priority = records.number(wanted.get("priority")) or 0.0
    if not LOWEST <= priority <= HIGHEST:
        raise ValueError("a priority lies between {} and {}".format(LOWEST, HIGHEST))
    delay = records.number(wanted.get("delay_s")) or 0.0
    moment = records.number(wanted.get("not_before")) or 0.0
    return Ticket(
        process.machine_id(),
        str(spec.get("pod") or "?"),
        now,
        int(priority),
        max(moment, now + delay if delay > 0 else 0.0),
        tuple(_names(wanted.get("after"))),
        tuple(_names(wanted.get("after_any"))),
    )


def write(run: RunDir, ticket: Ticket) -> None:
    """Raises `OSError`."""
    records.write_record(run.ticket, dict(ticket._asdict(), after=list(ticket.after), after_any=list(ticket.after_any)))


def read(run: RunDir) -> Optional[Ticket]:
    """`None` when there is none or it cannot be read."""
    return parse(records.read_record(run.ticket)[0])


def parse(record: Optional[Dict[str, Any]]) -> Optional[Ticket]:
    if record is None or not isinstance(record.get("machine_id"), str):
        return None
    return Ticket(
        record["machine_id"],
        str(record.get("pod") or "?"),
        records.number(record.get("submitted")) or 0.0,
        int(records.number(record.get("priority")) or 0),
        records.number(record.get("not_before")) or 0.0,
        tuple(_names(record.get("after"))),
        tuple(_names(record.get("after_any"))),
        int(records.number(record.get("attempts")) or 0),
    )


def _names(value: Any) -> List[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
