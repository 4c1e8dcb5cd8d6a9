"""Whether a run that serves is ready: one short HTTP question to its own machine; and which ports are free for it."""

from typing import Optional

#: Where a free port is looked for: above what people choose by hand, below what the kernel gives to clients.
_FIRST, _LAST = 20000, 32000


def answers(port: int, path: str, timeout_s: float = 1.0) -> Optional[str]:
    """`None` when `http://127.0.0.1:port` + `path` answers 200; otherwise what happened, in words."""
    # Here, because every supervisor would pay for it: a fifth of its start and a third of its memory.
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or error.__class__.__name__
    finally:
        connection.close()
    return None if status == 200 else "HTTP {}".format(status)


def is_taken(port: int) -> bool:
    """Whether somebody listens on this port of the machine already."""
    import socket

    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(start: int) -> int:
    """A port nobody listens on, looked for from `start` on so that two runs seldom meet. Raises `OSError`."""
    import socket

    span = _LAST - _FIRST
    for step in range(span):
        port = _FIRST + (start + step) % span
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise OSError("every port from {} to {} is taken".format(_FIRST, _LAST))
