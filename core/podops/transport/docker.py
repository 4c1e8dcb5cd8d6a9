"""A container as a pod, on any engine that speaks Docker's API: the link process is a command run in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from typing import TYPE_CHECKING

from podops.config.model import PodConfig
from podops.errors import UnreachableError
from podops.transport.blocking import in_thread
from podops.transport.docker_engine import Engine, Exec, engine_host
from podops.transport.docker_host import behind_ssh
from podops.transport.docker_stream import STDERR, Demultiplexer
from podops.transport.local import STDERR_TAIL

if TYPE_CHECKING:
    from podops.transport.docker_tunnel import EngineTunnel

#: How long a process may take to end by itself once its input is closed, seconds.
_CLOSE_S = 0.5

#: How long an engine may take to tell the exit code of a process whose output has ended, seconds.
_STATUS_S = 2.0

_CHUNK = 64 * 1024
_PID = re.compile(rb"podops:(\d+)\n")


class DockerTransport:
    """The way to one `docker:` pod."""

    def __init__(self, pod: PodConfig) -> None:
        self._pod = pod
        self._container = pod.docker or ""
        self.address = pod.address

    async def start(self, command: str) -> DockerProcess:
        """Start `command` in the container, by its `/bin/sh`. Raises `UnreachableError` and its kinds."""
        tunnel = await self._tunnel()
        try:
            engine = await self._engine(tunnel)
            process = await self._start(engine, command, tunnel)
        except UnreachableError as error:
            if tunnel is None:
                raise
            await tunnel.close()
            raise tunnel.better(error) from error
        except BaseException:
            if tunnel is not None:
                await tunnel.close()
            raise
        return process

    async def version(self) -> str:
        """What the engine calls itself. Raises `UnreachableError` and its kinds."""
        tunnel = await self._tunnel()
        try:
            engine = await self._engine(tunnel)
            try:
                return await in_thread(engine.version)
            finally:
                engine.close()
        except UnreachableError as error:
            raise (tunnel.better(error) if tunnel else error) from error
        finally:
            if tunnel is not None:
                await tunnel.close()

    async def _tunnel(self) -> EngineTunnel | None:
        if not behind_ssh(self._pod.docker_host):
            return None
        from podops.transport.docker_tunnel import EngineTunnel

        return EngineTunnel(self._pod)

    async def _engine(self, tunnel: EngineTunnel | None) -> Engine:
        if tunnel is not None:
            return Engine(await tunnel.open(), self._pod.docker_host or "")
        host = await in_thread(lambda: engine_host(self._pod.docker_host, os.environ))
        return Engine(host, host)

    async def _start(self, engine: Engine, command: str, tunnel: EngineTunnel | None) -> DockerProcess:
        user = self._pod.user
        try:
            started = await in_thread(
                lambda: engine.start(self._container, command, user), lambda late: late.connection.close()
            )
            process = await DockerProcess.open(engine, self._container, user, started, tunnel)
        except BaseException:
            engine.close()
            raise
        try:
            if not await process.preface():
                raise await in_thread(lambda: engine.shell_failure(self._container, user))
        except BaseException:
            await process.close()
            raise
        return process


class DockerProcess:
    """A command in a container seen as a `PodProcess`."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        user: str | None,
        exec_id: str,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        tunnel: EngineTunnel | None,
    ) -> None:
        self._engine = engine
        self._container = container
        self._user = user
        self._exec_id = exec_id
        self._reader, self._writer = streams
        self._tunnel = tunnel
        self._streams = Demultiplexer()
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._pid: int | None = None
        self._ended = False
        self._closed = False

    @classmethod
    async def open(
        cls, engine: Engine, container: str, user: str | None, started: Exec, tunnel: EngineTunnel | None
    ) -> DockerProcess:
        started.connection.setblocking(False)
        try:
            streams = await asyncio.open_connection(sock=started.connection)
        except BaseException:
            started.connection.close()
            raise
        return cls(engine, container, user, started.id, streams, tunnel)

    async def preface(self) -> bool:
        """Whether the shell has begun; read its process id."""
        with contextlib.suppress(UnreachableError):
            while self._pid is None and await self._more():
                if match := _PID.search(self._stderr):
                    self._pid = int(match.group(1))
                    del self._stderr[: match.end()]
        return self._pid is not None

    async def read(self, limit: int) -> bytes:
        while not self._stdout:
            if not await self._more():
                return b""
        data = bytes(self._stdout[:limit])
        del self._stdout[:limit]
        return data

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise UnreachableError(f"the connection to container {self._container} was lost") from error

    async def wait_closed(self) -> tuple[int | None, str]:
        while await self._more():
            pass
        return await self._exit_code(), self._stderr.decode("utf-8", "replace").strip()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with contextlib.suppress(OSError, RuntimeError, UnreachableError):
                self._writer.write_eof()
                if not await self._ends() and self._pid is not None:
                    await self._kill(self._pid)
        finally:
            self._writer.close()
            self._engine.close()
            if self._tunnel is not None:
                await self._tunnel.close()

    async def _more(self) -> bool:
        """Take what comes next; whether there was anything. Raises `UnreachableError` for a broken stream."""
        if self._ended:
            return False
        try:
            data = await self._reader.read(_CHUNK)
        except OSError as error:
            raise UnreachableError(f"the connection to container {self._container} was lost") from error
        self._ended = not data
        for output, piece in self._streams.feed(data):
            if output == STDERR:
                self._stderr += piece
                del self._stderr[:-STDERR_TAIL]
            else:
                self._stdout += piece
        return bool(data)

    async def _exit_code(self) -> int | None:
        """The exit code, which an engine may know a moment after the output has ended; `None` when it never does."""
        try:
            async with asyncio.timeout(_STATUS_S):
                return await in_thread(lambda: self._engine.exit_code(self._exec_id, _STATUS_S))
        except (TimeoutError, UnreachableError):
            return None

    async def _ends(self) -> bool:
        """Whether the process ends by itself in a moment; what it still says is dropped."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                while await self._more():
                    self._stdout.clear()
        except TimeoutError:
            return False
        return True

    async def _kill(self, pid: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await in_thread(lambda: self._engine.kill(self._container, pid, self._user))
