"""One output of a program, read as it comes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from typing import Self

from podops.errors import SourceError

#: More than this no command may print, bytes.
MAX_OUTPUT = 8 * 1024 * 1024

_CHUNK = 64 * 1024


class Said:
    """What is written into `far`, the end of a pipe that the program is given; within `with`.

    `over` is done once nobody has that end any more, and failed with a `SourceError` once it is too much. A pipe of its
    own, as those of asyncio are not to be had without waiting for everybody who has inherited their other ends.
    """

    def __init__(self, name: str, tell: Callable[[str], None] | None = None) -> None:
        """`tell` is called with each line as it comes."""
        self._name, self._tell = name, tell
        self._data = bytearray()
        self._told = 0
        try:
            self._near, self.far = os.pipe()
        except OSError as error:
            raise SourceError(f"{name} cannot be started: {error.strerror}", "see `ulimit -n`") from error
        os.set_blocking(self._near, False)
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._near, self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.remove_reader(self._near)
        os.close(self._near)
        self.give()
        if not self.over.cancel():
            self.over.exception()

    def give(self) -> None:
        """Leave its far end to the program alone."""
        if self.far >= 0:
            os.close(self.far)
            self.far = -1

    def text(self) -> str:
        """All of it, with what lies in the pipe now; somebody who goes on writing is not followed."""
        there = struct.unpack("i", fcntl.ioctl(self._near, termios.FIONREAD, b"\0" * 4))[0]
        while there > 0 and not self.over.done():
            there -= self._take(there)
        if self.over.done():
            self.over.result()
        self._tell_lines(last=True)
        return self._data.decode("utf-8", "replace")

    def _take(self, most: int = _CHUNK) -> int:
        """Read what is there, `most` bytes of it at most; how many there were."""
        try:
            piece = os.read(self._near, most)
        except BlockingIOError:
            return 0
        self._data += piece
        try:
            self._tell_lines()
        except Exception as error:
            self._end(error)  # nobody would see it here
            return len(piece)
        if not piece:
            self._end(None)
        elif len(self._data) > MAX_OUTPUT:
            self._end(SourceError(f"{self._name} prints over {MAX_OUTPUT >> 20} MiB", "let it print less"))
        return len(piece)

    def _end(self, error: Exception | None) -> None:
        self._loop.remove_reader(self._near)
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)

    def _tell_lines(self, *, last: bool = False) -> None:
        if self._tell is None:
            return
        *whole, rest = self._data[self._told :].replace(b"\r", b"\n").split(b"\n")
        lines = [*whole, rest] if last else whole
        self._told = len(self._data) - (0 if last else len(rest))
        for line in lines:
            if text := line.decode("utf-8", "replace").strip():
                self._tell(text)
