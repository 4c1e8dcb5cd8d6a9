"""An engine's answer, read with an end: requests and urllib3 limit each read of it, and nothing in all."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, cast

#: The most an engine may answer, bytes. Of a container with a thousand mounts it tells a tenth of that.
MOST = 4 << 20

#: How long an answer may take where its connection has no limit, seconds.
_ANSWER_S = 15.0


class EndlessAnswerError(OSError):
    """An engine sent more than any answer to us can be."""


class Answer(http.client.HTTPResponse):
    """All of an answer comes within the time limit of its connection and within `MOST`, or reading it raises `OSError`.

    That holds for what is read through it; a stream that follows on the same connection is read past it.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # The standard library knows it as a reader of lines; the SDK takes the socket from under it.
        self.fp = cast(io.BufferedReader, io.BufferedReader(_Ending(self.fp.detach(), sock)))

    def begin(self) -> None:
        super().begin()
        # None was asked for, and a little of one may unfold to any size.
        del self.headers["Content-Encoding"]


class _Ending(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        #: The SDK looks for it here as in `socket.SocketIO`.
        self._sock = sock
        self._left = MOST
        self._deadline = time.monotonic() + (sock.gettimeout() or _ANSWER_S)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        patience = self._deadline - time.monotonic()
        if patience <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(patience)
        number = cast("int | None", self._raw.readinto(buffer))
        self._left -= number or 0
        if self._left < 0:
            raise EndlessAnswerError(f"more than {MOST >> 20} MiB in one answer")
        return number

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()
