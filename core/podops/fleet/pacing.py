"""When to connect to a pod, and how many at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: First and longest wait before the next attempt, seconds; each is cut by up to half, so that pods do not come at once.
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0

#: The longest wait after a link that had held, seconds: most breaks are over at once.
_SOON_S = 0.5

#: The first one of all has this machine for itself until it is let in, for this long at most, seconds.
_ALONE_S = 0.1

#: So many may begin then; each that makes room makes it for one more, up to the bound.
_FIRST_AT_ONCE = 4

#: An attempt keeps others waiting for this long at most, seconds.
_LEASE_S = 0.3


class Backoff:
    """How long to wait after each failure: twice as long as before, up to a limit, and never at the same moment."""

    def __init__(self) -> None:
        self._failures = 0

    def after_failure(self) -> float:
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        return wait * random.uniform(0.5, 1.0)

    def after_a_link_that_held(self) -> float:
        self._failures = 0
        return random.uniform(0.0, _SOON_S)

    def reset(self) -> None:
        self._failures = 0


class Gate:
    """Lets so many connect at once.

    The bound is there for those that make progress, which share this machine's processor; one that hangs counts only
    for a moment, so that no pod delays another. One begins alone, and a few before all the others: they are there much
    sooner than if all had begun.
    """

    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(1)
        self._more = at_once - 1
        self._alone: asyncio.TimerHandle | None = None
        self._opened = False

    def open(self) -> None:
        """The first one has been let in, which is most of its work: a few more may begin."""
        if self._opened:
            return
        self._opened = True
        if self._alone is not None:
            self._alone.cancel()
        few = min(_FIRST_AT_ONCE - 1, self._more)
        self._more -= few
        for _ in range(few):
            self._places.release()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Callable[[], None]]:
        """A place to connect from, and the way to give it up before all is done."""
        await self._places.acquire()
        left = False
        if self._alone is None:
            self._alone = asyncio.get_running_loop().call_later(_ALONE_S, self.open)

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self.open()
                self._places.release()
                if self._more:
                    self._more -= 1
                    self._places.release()

        lease = asyncio.get_running_loop().call_later(_LEASE_S, leave)
        try:
            yield leave
        finally:
            lease.cancel()
            leave()


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` was set within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
