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
_ALONE_S = 0.08

#: So many may begin then; each that makes room makes it for one more, up to the bound.
_FIRST_AT_ONCE = 4

#: An attempt keeps others waiting for this long at most, seconds.
_LEASE_S = 0.3

#: Whoever waits for nobody here may begin so often, which is as long as one keeps this process busy in all, where the
#: event loop is no later than that, seconds.
_IDLE_S, _ON_TIME_S = 0.004, 0.002


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
    """Lets so many connect at once, and those elsewhere as soon as this process has nothing else to do.

    The bound is there for those that make progress, which share this machine's processor; one that hangs counts only
    for a moment, so that no pod delays another, and waiting for a network keeps nobody from beginning. One begins
    alone, and a few before all the others: they are there much sooner than if all had begun.
    """

    def __init__(self, at_once: int) -> None:
        self._most = at_once
        self._bound = 1
        self._inside = 0
        #: Who waits for a place, and whether a pod that is elsewhere is meant.
        self._waiting: dict[asyncio.Future[None], bool] = {}
        self._alone: asyncio.TimerHandle | None = None
        self._next: asyncio.TimerHandle | None = None
        self._opened = False

    def open(self) -> None:
        """The first one has been let in, which is most of its work: a few more may begin."""
        if self._opened:
            return
        self._opened = True
        if self._alone is not None:
            self._alone.cancel()
        self._bound = min(_FIRST_AT_ONCE, self._most)
        self._let_in()

    @asynccontextmanager
    async def place(self, *, elsewhere: bool = False) -> AsyncIterator[Callable[[], None]]:
        """A place to connect from, and the way to give it up before all is done.

        The work of a pod that is `elsewhere` is done by another machine.
        """
        loop = asyncio.get_running_loop()
        await self._turn(elsewhere)
        left = False
        if self._alone is None:
            self._alone = loop.call_later(_ALONE_S, self.open)

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self.open()
                self._bound = min(self._bound + 1, self._most)
                self._leave()

        lease = loop.call_later(_LEASE_S, leave)
        try:
            yield leave
        finally:
            lease.cancel()
            leave()

    async def _turn(self, elsewhere: bool) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = elsewhere
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, None) is None:
                self._leave()
            raise

    def _leave(self) -> None:
        self._inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._inside < self._bound:
            self._admit(next(iter(self._waiting)))
        if self._opened and self._next is None and any(self._waiting.values()):
            loop = asyncio.get_running_loop()
            self._next = loop.call_at(due := loop.time() + _IDLE_S, self._when_idle, due)

    def _when_idle(self, due: float) -> None:
        """Called at `due`, or later where there was other work: another one would make that wait."""
        self._next = None
        if asyncio.get_running_loop().time() - due <= _ON_TIME_S:
            turn = next((turn for turn, elsewhere in self._waiting.items() if elsewhere), None)
            if turn is not None:
                self._admit(turn)
        self._let_in()

    def _admit(self, turn: asyncio.Future[None]) -> None:
        del self._waiting[turn]
        self._inside += 1
        if not turn.done():
            turn.set_result(None)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` was set within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
