"""A service for tests that speaks plain TCP, run as a program: `python tcp_service.py PORT`.

The first line of a connection says what it does: `echo` sends back what comes until the other side is done; `count`
answers with the number of bytes once the other side is done; `send N` sends N bytes; `hold` never reads on. A `GET` is
answered as a health check.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

PIECE = 65536


def serve(connection: socket.socket) -> None:
    stream = connection.makefile("rb")
    words = stream.readline().split()
    if words[:1] == [b"GET"]:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    elif words == [b"echo"]:
        while data := stream.read1(PIECE):
            connection.sendall(data)
    elif words == [b"count"]:
        total = 0
        while data := stream.read1(PIECE):
            total += len(data)
        connection.sendall(b"%d\n" % total)
    elif words[:1] == [b"send"]:
        piece = bytes(range(256)) * 256
        for _ in range(int(words[1]) // len(piece)):
            connection.sendall(piece)
    elif words == [b"hold"]:
        time.sleep(3600)
    connection.shutdown(socket.SHUT_WR)
    stream.read()


def guarded(connection: socket.socket) -> None:
    with connection:
        try:
            serve(connection)
        except OSError:
            pass


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256) as server:
        while True:
            threading.Thread(target=guarded, args=(server.accept()[0],), daemon=True).start()
