"""An engine on another machine, reached through SSH as its pods are: by `docker system dial-stdio` there."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import tempfile
from pathlib import Path

from podops.config.model import PodConfig
from podops.errors import PodSetupError, RefusedError, UnreachableError
from podops.transport.base import PodProcess
from podops.transport.docker_host import client_script, ssh_hop
from podops.transport.ssh import SshTransport

_CHUNK = 64 * 1024

#: How long the reason for an end may take to come, seconds.
_WHY_S = 2.0


class EngineTunnel:
    """A socket of ours, in a directory nobody else can enter, whose connections end at the engine."""

    def __init__(self, pod: PodConfig) -> None:
        self._hop = ssh_hop(pod)
        self._command = f"exec sh -c {shlex.quote(client_script(pod.docker_host, 'system dial-stdio'))}"
        self._directory: Path | None = None
        self._server: asyncio.Server | None = None
        self._first: PodProcess | None = None
        self._joined: set[asyncio.Task[None]] = set()
        #: Why the last connection ended by itself.
        self._problem: UnreachableError | None = None

    async def open(self) -> str:
        """The socket's address. Raises what connecting by SSH raises."""
        self._first = await SshTransport(self._hop).start(self._command)
        self._directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="podops-engine-"))
        path = self._directory / "socket"
        self._server = await asyncio.start_unix_server(self._accept, path)
        return f"unix://{path}"

    def better(self, error: UnreachableError) -> UnreachableError:
        """What the far end said, where it did; `error` is what came of it here."""
        return self._problem or error

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._joined:
            task.cancel()
        if self._joined:
            await asyncio.wait(self._joined)
        if self._first is not None:
            await self._first.close()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._joined.add(task)
        process, self._first = self._first, None
        try:
            process = process or await SshTransport(self._hop).start(self._command)
            await self._join(process, reader, writer)
        except UnreachableError as error:
            self._problem = self._problem or error
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._joined.discard(task)
            writer.close()
            if process is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await process.close()

    async def _join(self, process: PodProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends; then the connection is over."""

        async def there() -> None:
            while data := await reader.read(_CHUNK):
                await process.write(data)

        async def back() -> None:
            told = False
            while data := await process.read(_CHUNK):
                told = True
                writer.write(data)
                await writer.drain()
            if not told:
                self._problem = self._failed(*await process.wait_closed())

        ways = [asyncio.ensure_future(there()), asyncio.ensure_future(back())]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[0] in done and ways[0].exception() is not None:
                # A client that has ended takes nothing more; why it did comes by the other way.
                await asyncio.wait(ways[1:], timeout=_WHY_S)
            for way in ways:
                if way.done():
                    way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def _failed(self, status: int | None, said: str) -> UnreachableError:
        place, last = self._hop.ssh, said.splitlines()[-1][:300] if said else ""
        if status in (126, 127):
            return PodSetupError(f"neither docker nor podman is installed on {place}", "install one there")
        if "permission denied" in said.lower():
            hint = "there: sudo usermod -aG docker USER, for the user you log in as"
            return RefusedError(f"no permission to use the engine on {place}: {last}", hint, code="engine_permission")
        hint = f"start it there: ssh {place} sudo systemctl start docker"
        return UnreachableError(f"no engine answers on {place}: {last or 'its client ended'}", hint, code="engine_down")
