"""Who on this side gets the pushes that belong to one log or to one connection, and not to the pod as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from podops_runners.frames import Frame

LogListener = Callable[[Frame], None]

#: Gets the pushes of one connection to a service, and `None` when the link is lost.
ConnectionListener = Callable[[Frame | None], None]


class Listeners:
    """Those of one pod. None of them outlives the link it was made on."""

    def __init__(self) -> None:
        self._logs: dict[int, LogListener] = {}
        self._connections: dict[int, ConnectionListener] = {}
        self._numbers = itertools.count(1)

    def listen(self, sub: int, listener: LogListener) -> None:
        """Give the log pushes of one subscription to `listener`, until the link is lost or `forget`."""
        self._logs[sub] = listener

    def forget(self, sub: int) -> None:
        self._logs.pop(sub, None)

    def listen_to_connection(self, listener: ConnectionListener) -> int:
        """A number for a new connection; its pushes go to `listener` until the link is lost or `hang_up`."""
        number = next(self._numbers)
        self._connections[number] = listener
        return number

    def hang_up(self, number: int) -> None:
        self._connections.pop(number, None)

    def take(self, kind: object, frame: Frame) -> bool:
        """Hand a push to whom it belongs; whether it is of the kind that belongs to somebody."""
        if kind == "log":
            sub = frame.header.get("sub")
            if isinstance(sub, int) and (listener := self._logs.get(sub)):
                listener(frame)
            return True
        if kind in ("data", "room", "eof", "close"):
            number = frame.header.get("conn")
            if isinstance(number, int) and (connection := self._connections.get(number)):
                connection(frame)
            return True
        return False

    def lose(self) -> None:
        """The link is lost, and every subscription and connection on it."""
        self._logs.clear()
        lost, self._connections = self._connections, {}
        for listener in lost.values():
            listener(None)
