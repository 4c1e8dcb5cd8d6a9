"""A socket where one expects an engine, and whatever comes from it instead of answers."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

#: More than this is sent to nobody, so that no test eats the memory of its machine; bytes.
MOST = 128 << 20

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = 1 << 16

#: What is said once, and what goes on for ever then.
ENDLESS = {
    "an answer": (CHUNKED, b"%x\r\n%b\r\n" % (_CHUNK, b"x" * _CHUNK)),
    "a complaint": (CHUNKED.replace(b"200 OK", b"500 Wrong"), b"%x\r\n%b\r\n" % (_CHUNK, b"x" * _CHUNK)),
    "what follows a body": (CHUNKED + b"0\r\n", b"X: y\r\n" * 1000),
    "a body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * _CHUNK),
    "promises": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
}


class OddEngine(socketserver.ThreadingUnixStreamServer):
    """To each request it says `first`, then `again` and again, each `pause_s` after the last; nothing when empty."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, first: bytes, again: bytes, pause_s: float) -> None:
        self.host = f"unix://{path}"
        self.first, self.again, self.pause_s = first, again, pause_s
        self.closing = threading.Event()
        super().__init__(str(path), _Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: OddEngine
    request: socket.socket

    def handle(self) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while self.request.recv(65536):
                self.request.sendall(self.server.first)
                while self.server.again and sent < MOST and not self.server.closing.wait(self.server.pause_s):
                    self.request.sendall(self.server.again)
                    sent += len(self.server.again)


@contextlib.contextmanager
def odd_engine(folder: Path, first: bytes = b"", again: bytes = b"", pause_s: float = 0.0) -> Iterator[OddEngine]:
    """One at a socket in `folder` for a while."""
    engine = OddEngine(folder / "odd.sock", first, again, pause_s)
    threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield engine
    finally:
        engine.closing.set()
        engine.shutdown()
        engine.server_close()
