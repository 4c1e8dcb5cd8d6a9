"""One question to whoever holds this project's links, without an event loop: for commands that must be quick."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from podops.sharing.peer import is_same_user, pid_of
from podops.sharing.place import project_files, project_key, socket_address, socket_dir
from podops_runners.frames import Frame, FrameDecoder, FrameError, encode_frame

#: How long a holder may take to take the connection, seconds: one that is stopped or overloaded is passed over.
HANDSHAKE_S = 1.0

_CHUNK = 256 * 1024


def ask(config: Path | None, environ: Mapping[str, str], request: dict[str, Any], within: float) -> Frame | None:
    """The holder's answer, at most `within` seconds later; `None` when there is none, or it would rather not say.

    `config` is the project file, found as `ops` finds it when `None`. Never raises.
    """
    try:
        files = project_files(config)
        if not files:
            return None
        with connected(socket_dir(environ), project_key(files, environ)) as connection:
            if connection is None:
                return None
            connection.sendall(encode_frame(request))
            frames = _frames(connection)
            # It says at once that it is there; the answer itself may have to come from a pod.
            next(frames)
            connection.settimeout(within)
            frame = next(frames)
    except (OSError, FrameError, StopIteration):
        return None
    return frame if frame.header.get("ok") is True else None


class FoundHolder(NamedTuple):
    """A process that holds links: its name for a person, empty when it does not answer; 0 for a pid not known."""

    name: str
    pid: int

    @property
    def answers(self) -> bool:
        return bool(self.name)


def holder_of(files: Sequence[Path], environ: Mapping[str, str]) -> FoundHolder | None:
    """What holds the links of the project read from `files`. Never raises."""
    pid = 0
    try:
        with connected(socket_dir(environ), project_key(files, environ)) as connection:
            if connection is None:
                return None
            pid = pid_of(connection)
            connection.sendall(encode_frame({"want": "name"}))
            header = next(_frames(connection)).header
            return FoundHolder(str(header.get("holder"))[:80], int(header.get("pid", 0)))
    except (TimeoutError, BlockingIOError):
        # The second where so many wait for it that it can be connected to no more.
        return FoundHolder("", pid)
    except (OSError, FrameError, StopIteration, ValueError):
        return None


@contextlib.contextmanager
def connected(directory: Path, key: str) -> Iterator[socket.socket | None]:
    """A connection to the holder of `key`, `None` when there is none of this user's. Raises `OSError`."""
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, folder)
        connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.settimeout(HANDSHAKE_S)
        try:
            connection.connect(socket_address(folder, directory / f"{key}.sock"))
        except (FileNotFoundError, ConnectionRefusedError):
            yield None
            return
        yield connection if is_same_user(connection) else None


def _frames(connection: socket.socket) -> Iterator[Frame]:
    decoder = FrameDecoder()
    while data := connection.recv(_CHUNK):
        yield from decoder.feed(data)
