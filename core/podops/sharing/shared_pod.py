"""A pod's link as another process of this user holds it, seen as a process on the pod."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from podops.config.identity import pod_identity
from podops.config.model import PodConfig, ProjectConfig
from podops.errors import UnreachableError
from podops.sharing.ask import HANDSHAKE_S
from podops.sharing.peer import is_same_user
from podops.sharing.place import project_key, socket_address, socket_dir
from podops_runners.frames import FrameDecoder, FrameError, encode_frame


class SharedLinks:
    """The links of whoever holds those of this project, if anybody does."""

    def __init__(self, config: ProjectConfig, environ: Mapping[str, str]) -> None:
        self._directory = socket_dir(environ)
        try:
            self._path: Path | None = self._directory / f"{project_key(config.sources, environ)}.sock"
        except OSError:
            self._path = None

    async def open(self, pod: PodConfig) -> tuple[SharedPod, bytes] | None:
        """A share of the pod's link and what it has said already; `None` when there is none to share. Never raises."""
        if not self._is_there():
            return None
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                reader, writer = await self._connect()
                writer.write(encode_frame({"want": "link", "pod": pod.name, "identity": pod_identity(pod)}))
                early = await _greeting(reader)
        except (OSError, TimeoutError, FrameError):
            early = None
        except BaseException:
            if writer is not None:
                writer.close()
            raise
        if early is None or writer is None:
            if writer is not None:
                writer.close()
            return None
        return SharedPod(reader, writer), early

    def _is_there(self) -> bool:
        try:
            return self._path is not None and self._path.exists()
        except OSError:  # a folder on the way that this user may not look into
            return False

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._path is not None
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, socket_address(folder, self._path))
            if not is_same_user(connection):
                raise PermissionError("another user's socket")
            return await asyncio.open_unix_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(folder)


class SharedPod:
    """A `PodProcess` at the other end of the holder's socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, limit: int) -> bytes:
        try:
            return await self._reader.read(limit)
        except OSError as error:
            raise UnreachableError("the process that shared its link has ended") from error

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise UnreachableError("the process that shared its link has ended") from error

    async def wait_closed(self) -> tuple[int | None, str]:
        return None, "the process that shared its link has ended, or has lost it"

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def _greeting(reader: asyncio.StreamReader) -> bytes | None:
    """What followed the holder's two first frames, who it is and that it shares; `None` when it does not."""
    for _ in range(2):
        line = await reader.readuntil(b"\n")
        (frame,) = FrameDecoder().feed(line)
    return b"" if frame.header.get("ok") is True else None
