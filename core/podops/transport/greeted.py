"""A command that is started on an SSH connection together with the first words it is to read."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncssh


async def start_greeted(
    connection: asyncssh.SSHClientConnection, command: str, greeting: bytes
) -> asyncssh.SSHClientProcess[bytes]:
    """Start `command`, which finds `greeting` on its standard input. Raises `asyncssh.Error`, `OSError`."""
    process: Any
    _, process = await connection.create_session(
        lambda: _Greeted(greeting), command, encoding=None, request_pty=False, env=None, send_env=None
    )
    await process.redirect(asyncssh.PIPE, asyncssh.PIPE, asyncssh.PIPE)
    started: asyncssh.SSHClientProcess[bytes] = process
    return started


class _Greeted(asyncssh.SSHClientProcess[bytes]):
    def __init__(self, greeting: bytes) -> None:
        super().__init__()
        self._greeting = greeting

    def connection_made(self, chan: Any) -> None:
        super().connection_made(chan)
        # The request to start the command is sent before this turn of the loop ends, and its answer a round trip later.
        if self._greeting:
            asyncio.get_running_loop().call_soon(self._greet, chan)

    def _greet(self, chan: Any) -> None:
        with contextlib.suppress(OSError):  # the channel is closed already
            chan.write(self._greeting)
