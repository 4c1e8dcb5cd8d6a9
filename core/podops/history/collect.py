"""For processes that stay: the end of each run's log and its records, read when it, or an attempt of it, ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from podops.errors import PodopsError
from podops.fleet.attempts import read_attempts
from podops.fleet.find_run import is_another
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops.history.record import LOG_TAIL_BYTES

#: So many are read at the same time.
_AT_ONCE = 4

#: What is being read when the process is to end may take so much longer, seconds.
_LAST_S = 1.0


@contextlib.asynccontextmanager
async def ends_collected(fleet: Fleet) -> AsyncIterator[None]:
    """Within it, the end of every run is read that ends, or has ended while nobody looked.

    The fleet notes what is read in its memory. A run counts as ended when it was last known as not ended, or as another
    one that was submitted under the same id; the same holds for its attempts.
    """
    waiting: asyncio.Queue[RunSnapshot] = asyncio.Queue()
    active: dict[str, dict[str, tuple[int, bool]]] = {}
    told: dict[str, Mapping[str, RunSnapshot]] = {}

    def changed(pods: frozenset[str]) -> None:
        for name in pods:
            seen = fleet.snapshot.pods.get(name)
            if seen is None:
                continue
            before = active.get(name, {})
            if seen.listed and seen.as_of is None:
                for run_id, attempt in before.items():
                    if (run := seen.runs.get(run_id)) is not None and (run.ended or _attempt(run) != attempt):
                        waiting.put_nowait(run)
                for run in _ended_unseen(seen.runs, told.get(name, seen.runs)):
                    waiting.put_nowait(run)
                told[name] = seen.runs
            active[name] = {run.run_id: _attempt(run) for run in seen.runs.values() if not run.ended}

    stop = fleet.subscribe(changed)
    changed(frozenset(fleet.snapshot.pods))
    readers = [asyncio.create_task(_read_each(fleet, waiting)) for _ in range(_AT_ONCE)]
    try:
        yield
    finally:
        stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waiting.join(), _LAST_S)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


def _ended_unseen(now: Mapping[str, RunSnapshot], before: Mapping[str, RunSnapshot]) -> list[RunSnapshot]:
    """Runs that were submitted anew and have ended between two looks."""
    if now is before:
        return []
    ended = [(run, before.get(run_id)) for run_id, run in now.items() if run.ended]
    return [run for run, old in ended if old is not None and old.ended and run is not old and is_another(run, old)]


def _attempt(run: RunSnapshot) -> tuple[int, bool]:
    """What changes when an attempt ends."""
    return run.attempt, run.retry_in_s is not None


async def _read_each(fleet: Fleet, waiting: asyncio.Queue[RunSnapshot]) -> None:
    while True:
        run = await waiting.get()
        with contextlib.suppress(PodopsError):
            await _read(fleet, run)
        waiting.task_done()


async def _read(fleet: Fleet, run: RunSnapshot) -> None:
    if run.attempt > 1 or run.attempts_max > 1:
        await read_attempts(fleet, run)
    await fleet.run_records(run.pod, run.run_id, project=run.project)
    await fleet.read(
        run.pod, run.run_id, "stdout.log", project=run.project, offset=-LOG_TAIL_BYTES, length=LOG_TAIL_BYTES
    )
