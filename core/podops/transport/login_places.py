"""So many logins on one server at a time: sshd turns away every third beyond ten that it has not let in yet."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podops.transport.ssh_config import ResolvedHost

#: Two fewer than sshd takes, for whoever else logs in there.
AT_ONCE = 8

#: A login that nobody has answered keeps others waiting for so long, and one that waits for a person, say, seconds.
_UNANSWERED_S, _ANSWERED_S = 1.0, 5.0

#: Of each event loop, by what leads to a server.
_servers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[object, ...], asyncio.Semaphore]] = (
    weakref.WeakKeyDictionary()
)


class Place:
    """One login's; it is given up when the login is over, or has taken too long."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave
        self._lease = asyncio.get_running_loop().call_later(_UNANSWERED_S, self.leave)

    def answered(self) -> None:
        """The server has taken the connection, and counts it until it lets us in."""
        if self._leave is not None:
            self._lease.cancel()
            self._lease = asyncio.get_running_loop().call_later(_ANSWERED_S, self.leave)

    def leave(self) -> None:
        self._lease.cancel()
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave()


@asynccontextmanager
async def login_place(host: ResolvedHost) -> AsyncIterator[Place]:
    """Waits until few enough log in to the server of `host`, whatever it is called."""
    servers = _servers.setdefault(asyncio.get_running_loop(), {})
    way = (host.hostname, host.port, host.jumps, host.proxy_command)
    places = servers.setdefault(way, asyncio.Semaphore(AT_ONCE))
    await places.acquire()
    place = Place(places.release)
    try:
        yield place
    finally:
        place.leave()
