"""What an engine sends of a process without a terminal: its two outputs in one stream, each piece with a header.

A header is eight bytes: the number of the output (1 standard output, 2 standard error), three zeros, and the length of
what follows, big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from podops.errors import ProtocolError

STDOUT, STDERR = 1, 2

_HEADER = struct.Struct(">BxxxL")


class Demultiplexer:
    """Takes the stream apart as it comes; holds back nothing but the bytes of a header that is not whole."""

    def __init__(self) -> None:
        self._header = b""
        self._output = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The pieces of `data` as `(output, bytes)`. Raises `ProtocolError` for anything else than such a stream."""
        view = memoryview(data)
        while view:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                yield self._output, bytes(piece)
                continue
            missing = _HEADER.size - len(self._header)
            self._header += bytes(view[:missing])
            view = view[missing:]
            if len(self._header) == _HEADER.size:
                self._output, self._left = _HEADER.unpack(self._header)
                self._header = b""
                if self._output not in (0, STDOUT, STDERR):
                    raise ProtocolError("the engine sent something that is not a stream of a process")
