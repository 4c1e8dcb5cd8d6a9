"""The way to one pod: a share of another process's link to it, or a connection of our own."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from podops.config.model import PodConfig
from podops.link.bootstrap import start_link
from podops.transport.base import Answered, Conditional, Lockable, Mendable, Personal, PodProcess, Queues, Transport

#: After a shared link was lost the next ones are our own for this long, seconds.
_ALONE_S = 30.0

#: A share of a pod's link in another process, and what it has said already; `None` when there is none.
Sharer = Callable[[PodConfig], Awaitable[tuple[PodProcess, bytes] | None]]


class Opened(NamedTuple):
    """What to speak with a pod through, and what it has said already."""

    process: PodProcess
    early: bytes
    #: Whether it is a share of another process's link.
    shared: bool = False


class Way:
    def __init__(self, sharer: Sharer | None, choose: Callable[[PodConfig], Transport]) -> None:
        self._sharer = sharer
        self._choose = choose
        self._transport: Transport | None = None
        self._alone_until = 0.0

    async def open(self, pod: PodConfig, answered: Callable[[], None], greeting: bytes) -> Opened:
        """Something to speak with. `answered` is called when the pod has let us in, before its side of the link runs.

        `greeting` is the first request, as a frame: a connection of our own brings it along, a share does not.
        Raises `UnreachableError` and its kinds.
        """
        if self._sharer is not None and time.monotonic() >= self._alone_until:
            found = await self._sharer(pod)
            if found is not None:
                return Opened(*found, shared=True)
        self._transport = self._transport or self._choose(pod)
        started = await start_link(self._transport, pod.name, answered, greeting)
        return Opened(started.process, started.early)

    def lost_share(self) -> None:
        """The process whose link was shared may be gone, or have lost it."""
        self._alone_until = time.monotonic() + _ALONE_S

    async def unlock(self) -> bool:
        """Open what keeps the way shut, such as a key, by asking a person; whether it is open now."""
        return isinstance(self._transport, Lockable) and await self._transport.unlock()

    def asks(self) -> str:
        """What a person has to do for the attempt under way to go on; empty when it is nothing."""
        return self._transport.asks() if isinstance(self._transport, Personal) else ""

    def queues(self) -> bool:
        """Whether the attempt under way waits for others at the same server, and not for the pod."""
        return isinstance(self._transport, Queues) and self._transport.queues()

    def answered(self) -> bool:
        """Whether the attempt under way may have been answered, and so have logged in."""
        return not isinstance(self._transport, Answered) or self._transport.answered()

    def mended(self) -> bool:
        """Whether what it was refused for may be over, as far as this machine can see."""
        return isinstance(self._transport, Mendable) and self._transport.mended()

    async def leads_there_still(self) -> bool:
        """Whether a connection made now would go the way of ours."""
        return not isinstance(self._transport, Conditional) or await self._transport.leads_there_still()
