"""A `ProxyCommand`: a process of ours through which asyncssh speaks to a server.

asyncssh would have asyncio start it. Where such a process ends by itself, closing its pipes takes its exit status
away from asyncio's own watcher of children, which complains of that over the user's terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from typing import IO, Any

from podops.transport.adopted import LOOK_S

#: How long one that hangs up by itself may take to say why and to end, before it is told to, seconds.
_LAST_WORDS_S = 0.5

#: How long one that has lost its pipes and was told to end may take, seconds.
_END_S = 2.0

#: How long it is waited for one that was killed, with everything else at a halt, seconds.
_KILLED_S = 0.5

#: Those that end; the loop itself holds only weakly what it does.
_ending: set[asyncio.Task[None]] = set()


class ProxyProcess:
    """What asyncssh takes for a tunnel; `errors` is where the command complains."""

    def __init__(self, command: str, errors: IO[bytes]) -> None:
        self._command = command
        self._errors = errors
        self._pipes: _Pipes | None = None

    async def last_words(self) -> None:
        """Where it has hung up by itself: wait for its end, until when it may say why."""
        if self._pipes is not None and self._pipes.hung_up:
            await _ended(self._pipes.child, _LAST_WORDS_S)

    async def create_connection(self, factory: Callable[[], Any], _host: str, _port: int) -> tuple[_Pipes, Any]:
        """Start it, with a connection of asyncssh's at its pipes. Raises `OSError` when it cannot be started."""
        connection, loop = factory(), asyncio.get_running_loop()
        child = self._start()
        pipes = self._pipes = _Pipes(child)
        try:
            pipes.writing, _ = await loop.connect_write_pipe(lambda: _Writing(connection, pipes), child.stdin)
            connection.connection_made(pipes)
            pipes.reading, _ = await loop.connect_read_pipe(lambda: _Reading(connection, pipes), child.stdout)
        except BaseException:
            pipes.close()
            raise
        return pipes, connection

    def _start(self) -> subprocess.Popen[bytes]:
        # A shell runs it, as OpenSSH has it. Asyncio would wait for its start just as long.
        words, pipe = ["/bin/sh", "-c", f"exec {self._command}"], subprocess.PIPE
        return subprocess.Popen(words, bufsize=0, stdin=pipe, stdout=pipe, stderr=self._errors, start_new_session=True)


class _Pipes(asyncio.Transport):
    """Of asyncio's transports what asyncssh uses."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self.writing: asyncio.WriteTransport | None = None
        self.reading: asyncio.ReadTransport | None = None
        #: Whether the command was the first to close its end.
        self.hung_up = False
        self.child = child
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.writing is not None:
            self.writing.write(data)

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        self.close()

    def lost(self) -> None:
        """One of its ends is closed."""
        self.hung_up = self.hung_up or not self._closed

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # What cannot be written any more would keep a pipe open.
        if self.writing is not None and not self.writing.is_closing():
            self.writing.abort()
        if self.reading is not None:
            self.reading.close()
        ending = asyncio.get_running_loop().create_task(self._end(), name="podops-proxy-end")
        _ending.add(ending)
        ending.add_done_callback(_ending.discard)

    async def _end(self) -> None:
        try:
            if self.hung_up:
                await _ended(self.child, _LAST_WORDS_S)
        finally:
            await _end(self.child)


class _Writing(asyncio.BaseProtocol):
    def __init__(self, connection: Any, pipes: _Pipes) -> None:
        self._connection = connection
        self._pipes = pipes

    def connection_lost(self, _error: Exception | None) -> None:
        self._pipes.lost()
        # That its pipe is broken says no more than that it has ended.
        self._connection.connection_lost(None)


class _Reading(asyncio.Protocol):
    def __init__(self, connection: Any, pipes: _Pipes) -> None:
        self._connection = connection
        self._pipes = pipes

    def data_received(self, data: bytes) -> None:
        self._connection.data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._pipes.lost()
        self._connection.connection_lost(error)


async def _ended(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for the end of `child` for so long at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while child.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)


async def _end(child: subprocess.Popen[bytes]) -> None:
    """End `child` and what it has started, as OpenSSH does at first; nothing is left of it that nobody waits for."""
    try:
        _signal(child, signal.SIGHUP)
        await _ended(child, _END_S)
    finally:
        if child.returncode is None:
            _signal(child, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_KILLED_S)


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
