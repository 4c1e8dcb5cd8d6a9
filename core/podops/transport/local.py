"""This machine as a pod: the link process is a child in a session of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE

from podops.errors import UnreachableError
from podops.transport.adopted import AdoptedProcess
from podops_runners.basics import FOR_LINKS

#: How much of a process's standard error is kept, bytes from its end.
STDERR_TAIL = 4096

#: How long a process may take to end by itself once its input is closed, seconds.
_CLOSE_S = 0.5


class LocalProcess:
    """A child process seen as a `PodProcess`."""

    def __init__(self, process: asyncio.subprocess.Process | AdoptedProcess) -> None:
        self._process = process
        self._stderr = bytearray()
        self._drain = asyncio.create_task(self._drain_stderr(), name="podops-local-stderr")

    async def read(self, limit: int) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.read(limit)

    async def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise UnreachableError("the link process on this machine has ended") from error

    async def wait_closed(self) -> tuple[int | None, str]:
        status = await self._process.wait()
        await asyncio.wait([self._drain], timeout=_CLOSE_S)
        return status, self._stderr.decode("utf-8", "replace").strip()

    async def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        # It has ended for asyncio once its pipes have, too, and a full one that nobody reads does not.
        rest = asyncio.create_task(self._read_on(), name="podops-local-rest")
        try:
            if not await self._ends():
                self._signal(signal.SIGTERM)
                if not await self._ends():
                    self._signal(signal.SIGKILL)
                    await self._ends()
        finally:
            if self._process.returncode is None:
                self._signal(signal.SIGKILL)
            self._drain.cancel()
            rest.cancel()
            if isinstance(self._process, AdoptedProcess):
                self._process.release()

    def _signal(self, number: signal.Signals) -> None:
        """To it and to what it has started in its session; what is meant to outlive it has a session of its own."""
        # Not by `send_signal`, which takes the status of one that has just ended away from asyncio's watcher.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _read_on(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, RuntimeError):
            while await self._process.stdout.read(1 << 16):
                pass

    async def _ends(self) -> bool:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(STDERR_TAIL):
            self._stderr += data
            del self._stderr[:-STDERR_TAIL]
            self._heard()

    def _heard(self) -> None:
        """Something was said on standard error."""


class LocalTransport:
    """Starts commands on this machine, through `/bin/sh`, with the basics of our own environment."""

    address = "local"

    async def start(self, command: str) -> LocalProcess:
        """Start `command` away from this terminal's signals. Raises `UnreachableError`."""
        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
                cwd="/",
                env={name: value for name, value in os.environ.items() if name in FOR_LINKS},
            )
        except OSError as error:
            raise UnreachableError(f"cannot start a process on this machine: {error.strerror}") from error
        return LocalProcess(process)
