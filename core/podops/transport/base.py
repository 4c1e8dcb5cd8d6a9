"""What a transport is: it starts one command on a pod, with a duplex pipe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable


class PodProcess(Protocol):
    """A running command on a pod, seen as bytes in, bytes out."""

    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes of its standard output; empty at its end. Raises `UnreachableError`."""

    async def write(self, data: bytes) -> None:
        """Send to its standard input, waiting while the pipe is full. Raises `UnreachableError`."""

    async def wait_closed(self) -> tuple[int | None, str]:
        """Its exit status (`None` when the connection died first) and the end of its standard error."""

    async def close(self) -> None:
        """End the pipe and the connection under it. Never raises; may be called twice."""


@runtime_checkable
class HandsOver(Protocol):
    """A process that can hand over what it says the moment it comes, which costs less than being asked for it."""

    async def hand_over(self, take: Callable[[bytes], None]) -> None:
        """Call `take` with all its standard output from here on, instead of `read`, and return at its end.

        Raises `UnreachableError`, and what `take` raised, after which it gets no more.
        """


class Transport(Protocol):
    """A way to one pod."""

    #: What a person calls it: `ssh root@203.0.113.7:30022`, `local`.
    address: str

    async def start(self, command: str) -> PodProcess:
        """Connect and start `command` through the user's login shell.

        Raises `RefusedError` when the pod says no (key, host key), `UnreachableError` when it is silent.
        """


@runtime_checkable
class LogsIn(Protocol):
    """A transport that lets in first and starts a command then, and can tell of the first."""

    async def log_in_and_start(self, command: Awaitable[str], let_in: Callable[[], None]) -> PodProcess:
        """As `start`, with a command that need not be there before the pod has let us in; `let_in` is called then."""


@runtime_checkable
class Lockable(Protocol):
    """A transport whose key may be locked."""

    async def unlock(self) -> bool:
        """After a refusal: ask a person to unlock what was locked; whether it is worth another attempt."""


@runtime_checkable
class Personal(Protocol):
    """A transport whose login may wait for a person, for a finger on a security key say."""

    def asks(self) -> str:
        """What a person has to do for the attempt under way to go on; empty when it is nothing."""


@runtime_checkable
class Queues(Protocol):
    """A transport whose login may have to wait for others, as one server takes only so many at once."""

    def queues(self) -> bool:
        """Whether the attempt under way waits for its turn."""


@runtime_checkable
class Answered(Protocol):
    """A transport that knows whether anybody has answered the attempt under way."""

    def answered(self) -> bool:
        """Whether the other end has said anything yet; from then on it may have been logged in to."""


@runtime_checkable
class Mendable(Protocol):
    """A transport that can see from here when a refusal may be over."""

    def mended(self) -> bool:
        """Whether what it was refused for last has been changed on this machine since."""


@runtime_checkable
class Conditional(Protocol):
    """A transport whose way may depend on more than files: on the network this machine is in, say."""

    async def leads_there_still(self) -> bool:
        """Whether a connection made now would go the way of the last one."""
