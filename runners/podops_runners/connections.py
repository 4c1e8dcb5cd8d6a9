"""The connections of a link to services of its pod (docs/protocol.md, "Connections").

One thread carries all of them. What a client sends is kept, in a bounded amount, until the service takes it; what a
service sends is read only as far as the client has made room for it.
"""

import selectors
import socket
import threading

from podops_runners import protocol
from podops_runners.frames import Frame
from podops_runners.typed import Any, Callable, Dict, Optional

#: Most bytes in one frame: small enough that samples and answers get their turn in between.
_PIECE = 128 * 1024

#: A service of this very machine that does not take a connection within this time never will, seconds.
_CONNECT_S = 5.0

Header = Dict[str, Any]
Send = Callable[[Header, bytes], None]


class Connection:
    """One TCP connection to a service. `unsent` are bytes the service has not taken yet."""

    def __init__(self, number: int, sock: socket.socket, room: int, window: int) -> None:
        self.number = number
        self.sock = sock
        #: What we may still send to the client, bytes.
        self.room = room
        #: What the client may have on its way to us, and how much of that was not returned yet, bytes.
        self.window = window
        self.unsent = bytearray()
        self.untold = 0
        self.client_done = False
        self.shut = False
        self.service_done = False
        self.problem = ""
        self.events = 0


class Connections:
    """All connections of one link. `open` may block and is called in a worker, `take` never does."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._open: Dict[int, Connection] = {}
        self._selector: Optional[selectors.BaseSelector] = None
        self._wake: Optional[socket.socket] = None
        self._woken = False

    def open(self, number: int, port: int, room: int) -> int:
        """Connect to `port` of this machine; how many bytes the client may send before it is given more room.

        Raises `OSError`, `ValueError` for a number in use or one connection too many.
        """
        with self._lock:
            if number < 0 or number in self._open:
                raise ValueError("{} cannot be the number of a new connection".format(number))
            if len(self._open) >= protocol.MAX_CONNECTIONS:
                raise ValueError("{} connections are open, more are not carried".format(len(self._open)))
            window = protocol.connection_window(len(self._open))
        sock = socket.create_connection(("127.0.0.1", port), _CONNECT_S)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open[number] = Connection(number, sock, room, window)
            if self._selector is None:
                self._begin()
        self._look_again()
        return window

    def take(self, frame: Frame) -> None:
        """Act on a frame of the client's; one that speaks of a connection that is over means nothing any more."""
        header = frame.header
        with self._lock:
            connection = self._open.get(_whole(header.get("conn")))
            if connection is None:
                return
            op = header.get("op")
            if op == "data" and not connection.client_done:
                connection.unsent += frame.payload
                if len(connection.unsent) + connection.untold > connection.window:
                    connection.problem = "more was sent than there was room for"
            elif op == "eof":
                connection.client_done = True
            elif op == "close":
                connection.problem = "closed"
            elif op == "room":
                connection.room += max(0, _whole(header.get("room")))
        self._look_again()

    def _begin(self) -> None:
        self._selector = selectors.DefaultSelector()
        ours, self._wake = socket.socketpair()
        ours.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, None)
        threading.Thread(target=self._carry, args=(ours, self._selector), daemon=True).start()

    def _look_again(self) -> None:
        """Let the thread see what has changed; a byte that is under way already is enough."""
        with self._lock:
            if self._woken or self._wake is None:
                return
            self._woken = True
            self._wake.send(b"x")

    def _carry(self, woken: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            self._carry_on(woken, selector)
        except Exception as error:  # nobody would see why connections stand still
            self._send({"push": "problem", "message": "connections: {}".format(error)}, b"")
            raise

    def _carry_on(self, woken: socket.socket, selector: selectors.BaseSelector) -> None:
        while True:
            ready = selector.select()
            for key, events in ready:
                if key.data is None:
                    with self._lock:
                        self._woken = False
                        woken.recv(64)
                    continue
                self._step(key.data, events)
            with self._lock:
                every = list(self._open.values())
            for connection in every:
                self._settle(connection, selector)

    def _step(self, connection: Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._to_service(connection)
            if events & selectors.EVENT_READ:
                self._to_client(connection)
        except BlockingIOError:
            pass
        except OSError as error:
            connection.problem = error.strerror or error.__class__.__name__

    def _to_service(self, connection: Connection) -> None:
        with self._lock:
            piece = bytes(connection.unsent[:_PIECE])
        taken = connection.sock.send(piece) if piece else 0
        with self._lock:
            del connection.unsent[:taken]
            connection.untold += taken
            # Told in large pieces, and at once when nothing is left to wait for.
            tell = connection.untold if connection.untold * 4 >= connection.window or not connection.unsent else 0
            connection.untold -= tell
        if tell:
            self._send({"push": "room", "conn": connection.number, "room": tell}, b"")

    def _to_client(self, connection: Connection) -> None:
        with self._lock:
            size = min(_PIECE, connection.room)
        if size <= 0:
            return
        data = connection.sock.recv(size)
        if data:
            with self._lock:
                connection.room -= len(data)
            self._send({"push": "data", "conn": connection.number}, data)
        else:
            connection.service_done = True
            self._send({"push": "eof", "conn": connection.number}, b"")

    def _settle(self, connection: Connection, selector: selectors.BaseSelector) -> None:
        """End what is over, and wait for what can happen next."""
        with self._lock:
            drained = not connection.unsent
            wanted = 0 if drained else selectors.EVENT_WRITE
            if connection.room > 0 and not connection.service_done:
                wanted |= selectors.EVENT_READ
        if drained and connection.client_done and not connection.shut:
            connection.shut = True
            try:
                connection.sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                connection.problem = error.strerror or "gone"
        if connection.problem or (connection.shut and connection.service_done):
            self._end(connection, selector)
        elif wanted != connection.events:
            _watch(connection, wanted, selector)

    def _end(self, connection: Connection, selector: selectors.BaseSelector) -> None:
        _watch(connection, 0, selector)
        if connection.problem:
            # The service must see that this was no orderly end.
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sock.close()
        with self._lock:
            self._open.pop(connection.number, None)
        if connection.problem:
            self._send({"push": "close", "conn": connection.number, "message": connection.problem}, b"")


def _watch(connection: Connection, wanted: int, selector: selectors.BaseSelector) -> None:
    if not connection.events and wanted:
        selector.register(connection.sock, wanted, connection)
    elif connection.events and not wanted:
        selector.unregister(connection.sock)
    elif wanted != connection.events:
        selector.modify(connection.sock, wanted, connection)
    connection.events = wanted


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
