"""Everything `ops run status` shows of one run, asked of its pod at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podops.errors import NotFoundError, PodActionError
from podops.fleet import wire
from podops.fleet.attempts import AttemptRecord, read_attempts
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import GpuSample, RunSnapshot

#: How much of a log's end is read, bytes.
TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RunLook:
    """`gpus` are all those of its pod, `tail` the end of its log, `summary` its record of its end."""

    run: RunSnapshot
    gpus: Sequence[GpuSample]
    summary: Mapping[str, Any] | None
    attempts: Sequence[AttemptRecord]
    tail: bytes


async def look_at(fleet: Fleet, run: RunSnapshot) -> RunLook:
    """`run` as its pod tells it now. Raises `PodopsError`."""
    records, tail, attempts = await asyncio.gather(
        fleet.run_records(run.pod, run.run_id, project=run.project), _tail(fleet, run), read_attempts(fleet, run)
    )
    now = wire.run(records.get("run"), run.pod, time.monotonic()) or run
    return RunLook(
        now, fleet.snapshot.pods[run.pod].gpus.gpus, wire.mapping(records.get("summary")) or None, attempts, tail
    )


async def _tail(fleet: Fleet, run: RunSnapshot) -> bytes:
    try:
        _, _, data = await fleet.read(
            run.pod, run.run_id, "stdout.log", project=run.project, offset=-TAIL_BYTES, length=TAIL_BYTES
        )
    except (NotFoundError, PodActionError):
        return b""
    return data
