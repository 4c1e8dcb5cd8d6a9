"""The attempts of a run as its pod recorded them in `attempts.jsonl`. No pod is trusted: what is odd is left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podops.errors import NotFoundError
from podops.fleet import wire
from podops.fleet.snapshot import RunSnapshot
from podops_runners.rundir import ATTEMPTS

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet

#: Of a record that is longer only so much of its end is read, bytes.
_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt that has ended. Times are Unix seconds by the pod's clock; its bytes are `[log_start, log_end)`."""

    number: int
    state: str
    reason: str
    detail: str
    started: float | None
    ended: float | None
    exit_code: int | None
    signal: int | None
    log_start: int
    log_end: int

    @property
    def elapsed_s(self) -> float | None:
        return None if self.started is None or self.ended is None else max(0.0, self.ended - self.started)


def parse_attempts(data: bytes) -> tuple[AttemptRecord, ...]:
    """Every whole line that is one, in order."""
    return tuple(record for line in data.splitlines() if (record := _record(line)) is not None)


async def read_attempts(fleet: Fleet, run: RunSnapshot) -> tuple[AttemptRecord, ...]:
    """The attempts of `run` that have ended; empty while there is none. Raises `PodopsError`."""
    try:
        read = fleet.read(run.pod, run.run_id, ATTEMPTS, project=run.project, offset=-_TAIL_BYTES, length=_TAIL_BYTES)
        _, _, data = await read
    except NotFoundError:
        return ()
    return parse_attempts(data)


def log_range(run: RunSnapshot, ended: Sequence[AttemptRecord], number: int) -> tuple[int, int | None]:
    """Where the log of attempt `number` begins and ends; it ends nowhere while it runs.

    Raises `NotFoundError` for an attempt that was never made.
    """
    for record in ended:
        if record.number == number:
            return record.log_start, record.log_end
    before = max((record.number for record in ended), default=0)
    if number == before + 1 and not (run.ended or run.waiting or run.phase == "retrying"):
        return (ended[-1].log_end if ended else 0), None
    made = f"{before} attempt" + ("" if before == 1 else "s")
    raise NotFoundError(f"run {run.run_id} has no attempt {number}", f"it has made {made} so far")


def _record(line: bytes) -> AttemptRecord | None:
    try:
        loaded = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fields = wire.mapping(loaded)
    number = wire.count(fields.get("attempt"))
    start, end = wire.count(fields.get("log_start")), wire.count(fields.get("log_end"))
    if not number or end < start:
        return None
    return AttemptRecord(
        number,
        wire.text(fields.get("state")),
        wire.text(fields.get("reason")),
        wire.text(fields.get("detail"), wire.LONG),
        wire.number(fields.get("started")),
        wire.number(fields.get("ended")),
        wire.integer(fields.get("exit_code")),
        wire.integer(fields.get("signal")),
        start,
        end,
    )
