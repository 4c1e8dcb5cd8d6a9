"""A connection over which something comes is asked nothing; one that is silent for as long as it may be has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from podops.transport.lazy_keepalive import look_when_due

_INTERVAL_S, _COUNT = 0.1, 2


class Client(asyncssh.SSHClient):
    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        look_when_due(conn)


@asynccontextmanager
async def connected(asked: asyncio.Queue[bytes]) -> AsyncIterator[tuple[asyncssh.SSHClientConnection, list[Any]]]:
    """A connection to a server of its own, and the server's end; what it is asked for life is noted in `asked`."""
    ends: list[Any] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            ends.append(conn)

        def begin_auth(self, username: str) -> bool:
            return False

    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")]
    )
    connection = await asyncssh.connect(
        "127.0.0.1",
        server.get_port(),
        client_factory=Client,
        known_hosts=None,
        config=None,
        agent_path=None,
        username="me",
        keepalive_interval=_INTERVAL_S,
        keepalive_count_max=_COUNT,
    )
    made: Any = connection
    plain = made._make_global_request

    async def noted(request: bytes, *rest: bytes) -> Any:
        asked.put_nowait(request)
        return await plain(request, *rest)

    made._make_global_request = noted
    try:
        yield connection, ends
    finally:
        connection.abort()
        server.close()
        await server.wait_closed()


async def test_a_connection_that_something_comes_over_is_asked_nothing_and_a_quiet_one_now_and_then() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    async with connected(asked) as (connection, ends):
        loop = asyncio.get_running_loop()
        until, longest, before = loop.time() + 5 * _INTERVAL_S, 0.0, loop.time()
        while loop.time() < until:
            ends[0].send_debug("here")
            await asyncio.sleep(0.01)
            longest, before = max(longest, loop.time() - before), loop.time()
        # A machine that let nothing come for so long has made the connection a quiet one.
        assert asked.empty() or longest > _INTERVAL_S / 2
        async with asyncio.timeout(60):
            for _ in range(2 * _COUNT + asked.qsize()):
                await asked.get()
        assert not connection.is_closed()


async def test_a_server_that_says_nothing_more_is_given_up() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    async with connected(asked) as (connection, ends):
        ends[0]._transport.pause_reading()
        async with asyncio.timeout(60):
            await connection.wait_closed()
        assert asked.qsize() == _COUNT


def test_a_connection_that_keeps_its_time_in_another_way_is_left_alone() -> None:
    class Another:
        pass

    connection = Another()
    look_when_due(connection)
    assert vars(connection) == {}
