"""What one would write by hand: asyncssh, and nothing of podops but the options that lead to a pod."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncssh
from asyncssh import auth

#: As many at once as a careful loop would have.
AT_ONCE = 20


class BareConnections:
    """`async with`: ends them all when it is left."""

    def __init__(self, key: Path, known_hosts: Path, at_once: int = AT_ONCE) -> None:
        # Read once: read anew for each of two hundred, known_hosts alone would take most of the time.
        self._hosts = asyncssh.read_known_hosts(str(known_hosts))
        self._key = str(key)
        self._places = asyncio.Semaphore(at_once)
        self.connections: list[Any] = []

    async def __aenter__(self) -> BareConnections:
        # As asyncssh logs in by itself, and not as podops has it do (podops.transport.signed_login).
        self._handlers = dict(auth._client_auth_handlers)
        auth._client_auth_handlers[b"publickey"] = auth._ClientPublicKeyAuth
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        auth._client_auth_handlers.update(self._handlers)
        for connection in self.connections:
            connection.abort()
        await asyncio.gather(*(connection.wait_closed() for connection in self.connections), return_exceptions=True)

    async def connect(self, *ports: int, command: str | None = None) -> None:
        """One connection to each port of this machine, each until the first word of `command`, if there is one."""
        await asyncio.gather(*(self._one(port, command) for port in ports))

    async def _one(self, port: int, command: str | None) -> None:
        async with self._places:
            connection = await asyncssh.connect(
                "127.0.0.1", port, client_keys=[self._key], known_hosts=self._hosts, agent_path=None, config=None
            )
            if command is not None:
                said = await connection.create_process(command, encoding=None)
                await said.stdout.read(65536)
        self.connections.append(connection)

    async def read(self, connection: Any, command: str) -> None:
        """All that `command` says on that pod."""
        said = await connection.create_process(command, encoding=None)
        while await said.stdout.read(65536):
            pass
