"""How late an event loop is: by the clock, and by its own work alone, so that what else a machine does is left out."""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import events
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: How often the loop is asked to come back, seconds.
_EVERY_S = 0.02


@dataclass(frozen=True)
class Callback:
    """One callback of the loop: monotonic times, and processor time of its thread, seconds."""

    begun: float
    ended: float
    spent: float


@dataclass(frozen=True)
class Lateness:
    """Milliseconds, sorted: how late the loop came back, what of that it spent at work itself, and its callbacks."""

    by_the_clock: Sequence[float]
    by_own_work: Sequence[float]
    callbacks: Sequence[float]


def share(values: Sequence[float], part: float) -> float:
    """The value of sorted `values` that so large a part of them do not exceed."""
    return values[math.ceil(part * len(values)) - 1] if values else 0.0


async def lateness(seconds: float) -> Lateness:
    """Of the running loop, for so long."""
    due: list[tuple[float, float]] = []
    end = time.monotonic() + seconds
    with _noted() as callbacks:
        while (asleep := time.monotonic()) < end:
            await asyncio.sleep(_EVERY_S)
            due.append((asleep + _EVERY_S, time.monotonic()))
    return Lateness(
        sorted(1000 * (came - wanted) for wanted, came in due),
        sorted(1000 * own for own in _own_work(due, callbacks)),
        sorted(1000 * callback.spent for callback in callbacks),
    )


def _own_work(due: Sequence[tuple[float, float]], callbacks: Sequence[Callback]) -> Iterator[float]:
    """How much processor time callbacks took between each moment the loop was due and the moment it came."""
    first = 0
    for wanted, came in due:
        while first < len(callbacks) and callbacks[first].ended <= wanted:
            first += 1
        own, place = 0.0, first
        while place < len(callbacks) and callbacks[place].begun < came:
            callback = callbacks[place]
            within = min(came, callback.ended) - max(wanted, callback.begun)
            own += callback.spent * within / max(callback.ended - callback.begun, 1e-9)
            place += 1
        yield own


@contextmanager
def _noted() -> Iterator[list[Callback]]:
    """A list that grows by every callback the loops of this process run meanwhile."""
    found: list[Callback] = []
    handle: Any = events.Handle
    plain = handle._run

    def timed(self: asyncio.Handle) -> None:
        begun, spent = time.monotonic(), time.thread_time()
        try:
            plain(self)
        finally:
            found.append(Callback(begun, time.monotonic(), time.thread_time() - spent))

    handle._run = timed
    try:
        yield found
    finally:
        handle._run = plain
