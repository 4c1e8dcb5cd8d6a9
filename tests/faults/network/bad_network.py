"""A network on loopback that does to bytes what bad networks do: they stop, come late, come slowly, or are cut off."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.pods.loopback import free_port

T = TypeVar("T")

#: What a lost packet costs a stream that has to wait for it to be sent again, seconds.
_RETRANSMIT_S = (0.2, 0.6)

#: The ends of a connection that the network has forgotten give it up after so long, seconds; TCP takes 15 minutes.
_GIVEN_UP_S = 120.0

#: So many pieces are under way at most, like in a router with little memory.
_QUEUE = 64


@dataclass
class Conditions:
    """How bytes fare, both ways. `rate` is in bytes per second, `loss` a share of pieces."""

    latency_s: float = 0.0
    loss: float = 0.0
    rate: float | None = None


@dataclass(eq=False)
class _Connection:
    """One connection through the network. Bytes move while both events are set."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    #: From the client to the pod, and from the pod to the client.
    there: asyncio.Event = field(default_factory=asyncio.Event)
    back: asyncio.Event = field(default_factory=asyncio.Event)
    #: What carries it; nothing else would hold it once it is forgotten.
    work: asyncio.Task[None] | None = field(default_factory=asyncio.current_task)

    def give_up(self) -> None:
        """What is forgotten for so long ends."""
        if self.work is not None:
            self.work.cancel()

    def reset(self) -> None:
        """End both halves with a reset, as a router does that has lost its table."""
        for writer in (self.near, self.far):
            with contextlib.suppress(OSError):
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class BadNetwork:
    """Connections to `port` arrive at `target` on 127.0.0.1, as well as the network lets them.

    It works in a thread of its own, so that tests may block. Use it in a `with` block.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.conditions = Conditions()
        self._target = target
        self._connections: set[_Connection] = set()
        self._passing = True
        self._answering = True
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> BadNetwork:
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *exc: object) -> None:
        self.refuse()
        self.reset()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def open_connections(self) -> int:
        """How many there are, those among them that nobody uses any more."""
        return self._do(lambda: len(self._connections))

    def reset(self) -> int:
        """Cut every connection; how many there were."""

        def cut() -> int:
            count = len(self._connections)
            for connection in list(self._connections):
                connection.reset()
            return count

        return self._do(cut)

    def stop(self) -> None:
        """Nothing moves any more, and nobody is told: a cable pulled, on old connections and new ones."""
        self._pass(False)

    def go(self) -> None:
        """What was stopped moves on."""
        self._pass(True)

    def forget(self) -> None:
        """The connections there are never move a byte again; new ones work: an address changed, a NAT forgot."""

        def forget() -> None:
            for connection in self._connections:
                connection.there = asyncio.Event()
                connection.back = asyncio.Event()
                self._loop.call_later(_GIVEN_UP_S, connection.give_up)

        self._do(forget)

    def hold_answers(self) -> None:
        """What the client says arrives; what the pod says does not."""

        def hold() -> None:
            self._answering = False
            for connection in self._connections:
                connection.back.clear()

        self._do(hold)

    def let_answers_through(self) -> None:
        """New connections hear the pod again; cut the old ones first."""

        def let() -> None:
            self._answering = True

        self._do(let)

    def refuse(self) -> None:
        """New connections are refused."""

        async def close() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)

    def listen(self) -> None:
        """New connections are taken."""

        async def serve() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

        asyncio.run_coroutine_threadsafe(serve(), self._loop).result(10)

    def _do(self, work: Callable[[], T]) -> T:
        async def there() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(10)

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pass(self, passing: bool) -> None:
        def change() -> None:
            self._passing = passing
            for connection in self._connections:
                for way in (connection.there, connection.back):
                    if passing:
                        way.set()
                    else:
                        way.clear()

        self._do(change)

    async def _serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
        connection = _Connection(near, far)
        if self._passing:
            connection.there.set()
        if self._passing and self._answering:
            connection.back.set()
        self._connections.add(connection)
        try:
            # The server of Python 3.11 would take a cancellation for an error of ours.
            with contextlib.suppress(asyncio.CancelledError):
                await self._carry_both(near_reader, far_reader, connection)
        finally:
            self._connections.discard(connection)
            near.close()
            far.close()

    async def _carry_both(self, near: asyncio.StreamReader, far: asyncio.StreamReader, connection: _Connection) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(near, connection.far, lambda: connection.there))
                both.create_task(self._carry(far, connection.near, lambda: connection.back))
        except* OSError:
            pass

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: Callable[[], asyncio.Event]
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)
        delivering = asyncio.create_task(self._deliver(under_way, sink, way))
        delivering.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            while data := await source.read(1460):
                await under_way.put((self._loop.time() + self._delay(), data))
            await under_way.put((0.0, b""))
            await delivering
        finally:
            delivering.cancel()

    def _delay(self) -> float:
        lost = random.random() < self.conditions.loss
        return self.conditions.latency_s + (random.uniform(*_RETRANSMIT_S) if lost else 0.0)

    async def _deliver(
        self,
        under_way: asyncio.Queue[tuple[float, bytes]],
        sink: asyncio.StreamWriter,
        way: Callable[[], asyncio.Event],
    ) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - self._loop.time())
            if self.conditions.rate:
                await asyncio.sleep(len(data) / self.conditions.rate)
            await way().wait()
            if not data:
                sink.write_eof()
                return
            sink.write(data)
            await sink.drain()
