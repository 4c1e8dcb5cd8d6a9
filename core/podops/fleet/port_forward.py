"""A port of this machine that leads to the service of a run, through the link of its pod.

Through the link, and not through SSH's own forwarding: that way it works alike over every transport and also where sshd
says `AllowTcpForwarding no`, it reaches the ports of our runs and nothing else, and the window of each connection is
ours. It carries somewhat less than asyncssh's forwarding does; docs/protocol.md tells how much.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from podops.errors import PodopsError, UnreachableError
from podops.fleet import wire
from podops.fleet.pod_link import PodLink
from podops.link.client import LinkClient
from podops_runners.frames import Frame
from podops_runners.protocol import connection_window

#: Most bytes in one frame: small enough that answers and samples get their turn in between.
_PIECE = 128 * 1024


class PortForward:
    """Listens on loopback while the `with` block lasts; a lost link ends its connections, never the listening."""

    def __init__(self, link: PodLink, run_id: str, project: str, trouble: Callable[[str], None]) -> None:
        self._link = link
        self._run_id = run_id
        self._project = project
        self._trouble = trouble
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> PortForward:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self, port: int) -> int:
        """Take connections on `port` of 127.0.0.1 (0: any that is free); the port. Raises `OSError`."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except PodopsError as error:
            self._trouble(error.message)
            _reset(writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its first byte to its last. Raises `PodopsError`, `OSError`."""
        if self._link.snapshot.state not in ("live", "stale"):
            raise UnreachableError(f"pod {self._link.snapshot.name} cannot be reached now")
        client = await self._link.client()
        room = connection_window(len(self._tasks) - 1)
        connection = Connection(client, self._link, room)
        try:
            fields: dict[str, Any] = {"run_id": self._run_id, "project": self._project}
            answer = await client.request("open", conn=connection.number, room=room, **fields)
            connection.give_room(wire.count(answer.header.get("room")))
            await connection.run(reader, writer)
        finally:
            connection.hang_up()


class Connection:
    """One connection over the link. What comes for it waits here, never more than the room we gave."""

    def __init__(self, client: LinkClient, link: PodLink, window: int) -> None:
        self._client = client
        self._link = link
        self._window = window
        self._room = 0
        self._has_room = asyncio.Event()
        self._inbox: asyncio.Queue[Frame | PodopsError] = asyncio.Queue()
        self._waiting = 0
        self._over = False
        self.number = link.listeners.listen_to_connection(self._take)

    def give_room(self, room: int) -> None:
        self._room += room
        if self._room > 0:
            self._has_room.set()

    def hang_up(self) -> None:
        """Forget it; the pod ends its side unless both sides were at their ends."""
        self._link.listeners.hang_up(self.number)
        if not self._over:
            self._notify("close")

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until both are at their end. Raises `PodopsError` or `OSError` for anything else."""
        up = asyncio.create_task(self._up(reader), name="podops-forward-up")
        down = asyncio.create_task(self._down(writer), name="podops-forward-down")
        try:
            done, _ = await asyncio.wait((up, down), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            self._over = True
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _up(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_PIECE):
            while data:
                await self._has_room.wait()
                piece, data = data[: self._room], data[self._room :]
                self._room -= len(piece)
                if not self._room:
                    self._has_room.clear()
                self._notify("data", piece)
        self._notify("eof")

    async def _down(self, writer: asyncio.StreamWriter) -> None:
        untold = 0
        while True:
            item = await self._inbox.get()
            if isinstance(item, PodopsError):
                raise item
            if item.header.get("push") == "eof":
                writer.write_eof()
                return
            writer.write(item.payload)
            await writer.drain()
            self._waiting -= len(item.payload)
            untold += len(item.payload)
            if untold * 4 >= self._window or self._inbox.empty():
                self._notify("room", room=untold)
                untold = 0

    def _take(self, frame: Frame | None) -> None:
        if frame is None:
            self._inbox.put_nowait(UnreachableError("the link was lost"))
            return
        kind = frame.header.get("push")
        if kind == "room":
            self.give_room(wire.count(frame.header.get("room")))
        elif kind == "close":
            self._over = True
            self._inbox.put_nowait(PodopsError(wire.text(frame.header.get("message")) or "the pod closed it"))
        else:
            self._waiting += len(frame.payload)
            if self._waiting > self._window:
                self._inbox.put_nowait(PodopsError("the pod sent more than there was room for"))
            else:
                self._inbox.put_nowait(frame)

    def _notify(self, op: str, payload: bytes = b"", **fields: Any) -> None:
        self._client.notify(op, payload, conn=self.number, **fields)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End it so that the other side sees a reset, not an orderly end."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
