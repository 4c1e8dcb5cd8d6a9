"""Lets other commands of this user use the links of this process, through a socket that only this user can open."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from podops.config.identity import pod_identity
from podops.config.model import ProjectConfig
from podops.errors import PodopsError
from podops.fleet.find_run import named
from podops.fleet.fleet import Fleet
from podops.fleet.outward import wire_run
from podops.fleet.run_look import look_at
from podops.sharing.peer import is_same_user
from podops.sharing.place import project_key, socket_address, socket_dir
from podops.sharing.proxy import LinkProxy
from podops.state_dir import private_directory
from podops_runners.frames import Frame, FrameDecoder, encode_frame

_CHUNK = 256 * 1024

#: How long a client may take to say what it wants, seconds.
_ASK_S = 5.0

#: A client that does not read is left once so much waits for it, bytes.
_MOST_WAITING = 64 * 2**20


class HeldElsewhere(Exception):
    """Another process holds this project's links already."""


class Holder:
    """Serves the links of `fleet` from `start` to `stop`."""

    def __init__(self, fleet: Fleet, config: ProjectConfig, environ: Mapping[str, str], what: str) -> None:
        """`what` names this process for a person: `ops watch`. Raises `OSError` when the project file is gone."""
        self._fleet = fleet
        self._what = what
        self._directory = socket_dir(environ)
        self._key = project_key(config.sources, environ)
        self._descriptors: list[int] = []
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def path(self) -> Path:
        return self._directory / f"{self._key}.sock"

    async def start(self) -> None:
        """Raises `HeldElsewhere`, and `OSError` where there is no place for a socket."""
        folder = os.open(private_directory(self._directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptors.append(folder)
        try:
            self._descriptors.append(_sole_holder(self.path.with_suffix(".lock")))
            listener = self._listen(folder)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener)
        except BaseException:
            self._let_go()
            raise
        _sweep(self._directory)

    async def stop(self) -> None:
        """Take no more clients, and end those there are: their commands go on with links of their own."""
        if self._server is None:
            return
        self._server.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
        with contextlib.suppress(OSError):
            self.path.with_suffix(".lock").unlink()  # while we hold it: whoever waits for it looks again
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._server = None
        self._let_go()

    def _listen(self, folder: int) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()  # left behind by a holder that was killed: we have its lock
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            mask = os.umask(0o177)
            try:
                listener.bind(socket_address(folder, self.path))
            finally:
                os.umask(mask)
            listener.listen(64)
        except BaseException:
            listener.close()
            raise
        return listener

    def _let_go(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if is_same_user(writer.get_extra_info("socket")):
                await self._talk(reader, writer)
        except Exception:  # whatever a client sends, it ends its own connection and nothing else
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(header: dict[str, Any], payload: bytes = b"") -> None:
            if not writer.is_closing():
                writer.write(encode_frame(header, payload))
                if writer.transport.get_write_buffer_size() > _MOST_WAITING:
                    writer.transport.abort()

        decoder = FrameDecoder()
        async with asyncio.timeout(_ASK_S):
            while not (frames := decoder.feed(data := await reader.read(_CHUNK))):
                if not data:
                    return
        wanted = frames[0].header
        send({"holder": self._what, "pid": os.getpid()})
        if wanted.get("want") == "run":
            await self._tell_run(wanted, send)
            await writer.drain()
        elif wanted.get("want") == "link":
            await self._share(wanted, reader, decoder, frames[1:], send)

    async def _tell_run(self, wanted: Mapping[str, Any], send: Callable[..., None]) -> None:
        """One run as its pod tells it now; what is not that plain is for the command itself to find out."""
        pod, text = wanted.get("pod"), str(wanted.get("run"))
        runs = [run for run in self._fleet.snapshot.told().runs() if pod in (None, run.pod)]
        found = named(runs, text)
        if len(found) != 1 or not await self._fleet.link(found[0].pod).may_be_shared():
            send({"ok": False})
            return
        try:
            look = await look_at(self._fleet, found[0])
        except PodopsError:
            send({"ok": False})
            return
        told = {
            "pod": look.run.pod,
            "run": wire_run(look.run),
            "gpus": [asdict(gpu) for gpu in look.gpus],
            "summary": look.summary,
            "attempts": [asdict(attempt) for attempt in look.attempts],
        }
        send({"ok": True, **told}, look.tail)

    async def _share(
        self,
        wanted: Mapping[str, Any],
        reader: asyncio.StreamReader,
        decoder: FrameDecoder,
        early: list[Frame],
        send: Callable[..., None],
    ) -> None:
        pod = self._fleet.snapshot.pods.get(str(wanted.get("pod")))
        link = self._fleet.link(pod.name) if pod is not None else None
        # A provider may have given the name to another pod.
        same = link is not None and pod_identity(link.pod) == wanted.get("identity")
        if link is None or not same or link.snapshot.state != "live" or not await link.may_be_shared():
            send({"ok": False})
            return
        send({"ok": True})
        proxy = LinkProxy(self._fleet, link.pod.name, await link.client(), send)
        lost = asyncio.create_task(proxy.lost())
        reading = asyncio.create_task(_read_all(reader, decoder, early, proxy))
        try:
            await asyncio.wait({lost, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            reading.cancel()
            await asyncio.gather(lost, reading, return_exceptions=True)
            await proxy.close()


async def _read_all(reader: asyncio.StreamReader, decoder: FrameDecoder, early: list[Frame], proxy: LinkProxy) -> None:
    """Every frame of a client until it goes."""
    for frame in early:
        proxy.take(frame)
    while data := await reader.read(_CHUNK):
        for frame in decoder.feed(data):
            proxy.take(frame)


def _sole_holder(path: Path) -> int:
    """A descriptor that holds the lock of the one process that may bind the socket. Raises `HeldElsewhere`."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise HeldElsewhere from None
        if _is_still(descriptor, path):
            return descriptor
        # Its last holder removed the file between our opening and our locking it.
        os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _sweep(directory: Path) -> None:
    """Remove what holders that were killed left behind: of project files as they were."""
    for path in directory.glob("*.lock"):
        with contextlib.suppress(OSError, HeldElsewhere):
            lock = _sole_holder(path)
            try:
                path.with_suffix(".sock").unlink(missing_ok=True)
                path.unlink()
            finally:
                os.close(lock)
