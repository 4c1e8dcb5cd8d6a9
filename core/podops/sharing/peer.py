"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import socket
import struct

#: On macOS and the BSDs: `LOCAL_PEERCRED` of `SOL_LOCAL`, a version and the user id first.
_LOCAL_PEERCRED = 1


def is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to this user."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return bool(struct.unpack("3i", data)[1] == os.geteuid())
        data = connection.getsockopt(0, _LOCAL_PEERCRED, 76)
        return bool(struct.unpack_from("II", data)[1] == os.geteuid())
    except (OSError, struct.error):
        return False


def pid_of(connection: socket.socket) -> int:
    """The process at the other end, or that listens there; 0 where the system does not tell."""
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", data)[0])
    except (AttributeError, OSError, struct.error):
        return 0
