"""Several logins want the same security key: it serves one program at a time, and is not there for the others."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: What a login without an agent waits for while another has the key.
BUSY = "the security key is wanted by another login; this one comes after it"

#: How long a login under way may take to ask before others think that it will not, seconds.
_ASKS_WITHIN_S = 1.0

_ALL: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()


class Turns:
    """Who logs in just now, and who of them asks for a touch, in one event loop."""

    def __init__(self) -> None:
        self._under_way: set[object] = set()
        self._asking: set[object] = set()
        self._crowded: weakref.WeakSet[object] = weakref.WeakSet()
        self._free = asyncio.Event()
        self._free.set()
        self._news = asyncio.Event()
        self._next = asyncio.Lock()

    def begin(self, login: object) -> None:
        """`login` is under way, and may ask for a touch."""
        self._under_way.add(login)
        # Whether or not they have asked: one that has the key may be heard of after one that could not have it.
        if len(self._under_way) > 1:
            self._crowded.update(self._under_way)

    def ask(self, login: object) -> None:
        """`login` has asked for a touch."""
        self._asking.add(login)
        self._free.clear()
        self._news.set()

    def done(self, login: object) -> None:
        """It has logged in, or given up."""
        self._under_way.discard(login)
        self._asking.discard(login)
        self._news.set()
        if not self._asking:
            self._free.set()

    def crowded(self, login: object) -> bool:
        """Whether another was under way at the same time."""
        return login in self._crowded

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A turn in which nobody else asks."""
        async with self._next:
            await self._all_have_asked()
            await self._free.wait()
            yield

    async def _all_have_asked(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ASKS_WITHIN_S):
                while self._under_way - self._asking:
                    self._news.clear()
                    await self._news.wait()


def turns() -> Turns:
    return _ALL.setdefault(asyncio.get_running_loop(), Turns())
