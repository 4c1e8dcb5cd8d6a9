"""Whether a run that serves is well: an HTTP question to its own machine, asked without ever waiting for the answer."""

import errno
import os

from podops_runners.typed import Optional

#: A service under full load may take this long to say that it is well, seconds.
ANSWER_S = 5.0

#: How long one look may wait: on loopback the answer is mostly there by then, seconds.
_LOOK_S = 0.02

#: A status line is short; whoever sends more without a newline does not speak HTTP.
_LONGEST_LINE = 4096


class HealthProbe:
    """`GET path` to a port of this machine. The supervisor has one thread and much else to look at.

    `http.client` would cost every supervisor a third of its memory, and a server that drips bytes could hold it.
    """

    def __init__(self, port: int, path: str, now: float) -> None:
        import socket

        self._deadline = now + ANSWER_S
        lines = ["GET {} HTTP/1.1".format(path), "Host: 127.0.0.1:{}".format(port), "User-Agent: podops"]
        self._unsent = "\r\n".join(lines + ["Accept: */*", "Connection: close", "", ""]).encode()
        self._answer = b""
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._started = self._socket.connect_ex(("127.0.0.1", port))

    def look(self, now: float) -> Optional[str]:
        """`None` while there is no answer yet; empty when it is a 2xx; otherwise what is wrong, in words."""
        try:
            told = self._step()
        except OSError as error:
            told = error.strerror or error.__class__.__name__
        if told is None and now >= self._deadline:
            told = "no answer within {:g} s".format(ANSWER_S)
        if told is not None:
            self.close()
        return told

    def close(self) -> None:
        self._socket.close()

    def _step(self) -> Optional[str]:
        import select
        import socket

        if self._started not in (0, errno.EINPROGRESS):
            raise OSError(self._started, os.strerror(self._started))
        if self._unsent:
            if not select.select([], [self._socket], [], _LOOK_S)[1]:
                return None
            refused = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if refused:
                raise OSError(refused, os.strerror(refused))
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        while select.select([self._socket], [], [], _LOOK_S)[0]:
            data = self._socket.recv(_LONGEST_LINE)
            self._answer += data
            if b"\n" in self._answer or not data or len(self._answer) >= _LONGEST_LINE:
                return _judged(self._answer.split(b"\n")[0])
        return None


def _judged(line: bytes) -> str:
    words = line.decode("latin-1").split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        return "no HTTP answer" if line.strip() else "closed without an answer"
    return "" if words[1].startswith("2") else "HTTP {}".format(words[1])
