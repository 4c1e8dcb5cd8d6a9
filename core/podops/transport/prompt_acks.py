"""Acknowledging at once what a server says while a link is being made.

sshd keeps a small packet back until the one before it was acknowledged (Nagle), and Linux takes 40 ms for that when it
has nothing else to send: most of the time between a login and the first word of a command.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

#: So often, and for so long, seconds: the first words of a pod side come within this time.
_EVERY_S, _FOR_S = 0.005, 0.1

_OPTION = getattr(socket, "TCP_QUICKACK", None)


def acknowledge_promptly(connection: Any) -> None:
    """Have the system acknowledge what has come, again and again for a moment. `connection` is one of asyncssh's.

    Linux goes back to waiting by itself; elsewhere, and where the connection is no socket of ours, nothing is done.
    """
    sock = connection.get_extra_info("socket")
    if _OPTION is None or sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    loop = asyncio.get_running_loop()
    until = loop.time() + _FOR_S

    def acknowledge() -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, _OPTION, 1)
        except OSError:
            return  # closed already
        if loop.time() < until:
            loop.call_later(_EVERY_S, acknowledge)

    acknowledge()
