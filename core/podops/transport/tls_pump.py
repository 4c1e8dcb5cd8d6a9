"""A TLS connection as a plain socket: asyncio takes no connection whose handshake somebody else has made."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading

_CHUNK = 64 * 1024


def pumped(connection: ssl.SSLSocket) -> socket.socket:
    """The near end of a pair whose far end a daemon thread joins with `connection`, until either is closed."""
    connection.settimeout(None)
    near, far = socket.socketpair()
    threading.Thread(target=_pump, args=(connection, far), name="podops-tls", daemon=True).start()
    return near


def _pump(tls: ssl.SSLSocket, far: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while True:
            ready = [tls] if tls.pending() else select.select([tls, far], [], [])[0]
            if tls in ready:
                data = tls.recv(_CHUNK)
                if not data:
                    break
                far.sendall(data)
            if far in ready:
                data = far.recv(_CHUNK)
                if not data:
                    break
                tls.sendall(data)
    for end in (tls, far):
        with contextlib.suppress(OSError, ValueError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
