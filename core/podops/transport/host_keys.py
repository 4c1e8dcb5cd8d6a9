"""Host keys met for the first time, where the configuration says that they are to be accepted (`accept-new`)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path

import asyncssh

from podops.transport.empty_packets import leave_out_empty_packets
from podops.transport.last_words import hear_out
from podops.transport.lazy_keepalive import look_when_due
from podops.transport.signed_login import keys_first
from podops.transport.ssh_config import ResolvedHost


class HostKeyCheck(asyncssh.SSHClient):
    """Asked about a host key that is not among the trusted ones; calls `connected` with the connection, once made."""

    def __init__(self, host: ResolvedHost, connected: Callable[[asyncssh.SSHClientConnection], None]) -> None:
        self._host = host
        self._connected = connected

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        hear_out(conn)
        keys_first(conn)
        leave_out_empty_packets(conn)
        look_when_due(conn)
        self._connected(conn)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Accept the key of a host that has none yet. One that differs from the known one is never accepted."""
        if not self._host.accept_new or self._host.host_keys.found:
            return False
        files = self._host.host_keys.files
        if files:
            # A file that cannot be written is no reason to refuse: OpenSSH goes on as well.
            with contextlib.suppress(OSError):
                _store(files[0], _name(self._host), key)
        return True


def _name(host: ResolvedHost) -> str:
    """What known_hosts calls it; an alias stands without the port."""
    aliased = host.key_name != host.hostname
    name = host.key_name if aliased or host.port == 22 else f"[{host.key_name}]:{host.port}"
    return _hashed(name) if host.hash_known_hosts else name


def _hashed(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return "|".join(("", "1", base64.b64encode(salt).decode(), base64.b64encode(digest).decode()))


def _store(file: Path, name: str, key: asyncssh.SSHKey) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = f"{name} {key.export_public_key('openssh').decode().strip()}\n"
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        unended = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        # One write, so that several pods met at once never mix their lines.
        os.write(descriptor, ("\n" if unended else "").encode() + line.encode())
    finally:
        os.close(descriptor)
