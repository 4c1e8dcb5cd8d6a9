"""Acknowledging at once what a server says while a link is being made.

sshd keeps a small packet back until the one before it was acknowledged (Nagle), and Linux takes 40 ms for that when it
has nothing else to send: most of the time between a login and the first word of a command.
"""

from __future__ import annotations

import socket
from typing import Any

#: So many packets come before a link is made: the start of a command, its first words, the greeting of the pod side.
_PACKETS = 12

_OPTION = getattr(socket, "TCP_QUICKACK", None)


class PromptAcks:
    """To be called after each packet of one connection of asyncssh's; after the first few it does nothing any more.

    Linux goes back to waiting by itself; elsewhere, and where the connection is no socket of ours, nothing is done.
    """

    def __init__(self, connection: Any) -> None:
        sock = connection.get_extra_info("socket")
        usable = _OPTION is not None and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6)
        self._socket = sock
        self._left = _PACKETS if usable else 0

    def __call__(self) -> None:
        if self._left:
            self._left -= 1
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, _OPTION, 1)
            except OSError:
                self._left = 0  # closed already
