"""Several logins want the same security key: it serves one program at a time, and is not there for the others."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: What a login without an agent waits for while another has the key.
BUSY = "the security key is wanted by another login; this one comes after it"

_ALL: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()


class Turns:
    """Who asks for a touch just now, in one event loop."""

    def __init__(self) -> None:
        self._asking: set[object] = set()
        self._crowded: weakref.WeakSet[object] = weakref.WeakSet()
        self._free = asyncio.Event()
        self._free.set()
        self._next = asyncio.Lock()

    def ask(self, login: object) -> None:
        """`login` has asked for a touch."""
        self._asking.add(login)
        self._free.clear()
        if len(self._asking) > 1:
            self._crowded.update(self._asking)

    def done(self, login: object) -> None:
        """It has been touched, or given up."""
        self._asking.discard(login)
        if not self._asking:
            self._free.set()

    def crowded(self, login: object) -> bool:
        """Whether another asked at the same time."""
        return login in self._crowded

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A turn in which nobody else asks."""
        async with self._next:
            await self._free.wait()
            yield


def turns() -> Turns:
    return _ALL.setdefault(asyncio.get_running_loop(), Turns())
