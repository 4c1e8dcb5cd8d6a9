"""Keys in hardware (FIDO): a login with one waits for a person's finger, and only `ssh` and an agent can use one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podops.errors import RefusedError

if TYPE_CHECKING:
    from podops.transport.ssh_config import ResolvedHost

#: How long a person has, seconds; the key itself gives up after about half of that.
PATIENCE_S = 60.0

#: What `ssh` would write on its terminal.
PROMPT = re.compile(r"^Confirm user presence for key [A-Z0-9-]{1,40} SHA256:[A-Za-z0-9+/=]{1,64}\r?$", re.MULTILINE)

#: What it says of a key that is not plugged in, and of one that another program uses.
NOT_THERE = re.compile(r"signing failed for \S+-SK .*: device not found")

#: In a key file this much of its head names the kind of key, bytes.
_HEAD = 200

_tell: Callable[[str], None] | None = None


def tell_with(tell: Callable[[str], None] | None) -> None:
    """Who tells a person, from now on, that a security key waits to be touched; nobody with `None`."""
    global _tell
    _tell = tell


def tell(words: str) -> None:
    if _tell is not None:
        _tell(words)


def in_hardware(path: Path) -> bool:
    """Whether the private key of this file lies in a security key, and the file is only the handle of it."""
    try:
        _, _, body = path.read_bytes().partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
        head = base64.b64decode(b"".join(body.split())[: _HEAD // 3 * 4])
    except (OSError, binascii.Error):
        return False
    return b"sk-ssh-ed25519@openssh.com" in head or b"sk-ecdsa-sha2-nistp256@openssh.com" in head


class WatchedAgent:
    """What the agent of one login is asked, and whether it waits for a person."""

    def __init__(self) -> None:
        #: What a person has to do for the login to go on; empty when it is nothing.
        self.asks = ""
        self._held: set[bytes] = set()
        self._unused = ""

    def watch(self, connection: Any) -> None:
        """From its start. `connection` is one of asyncssh's, which has no name for its agent that others may use."""
        agent = getattr(connection, "_agent", None)
        if agent is not None:
            agent.get_keys, agent.sign = self._listing(agent.get_keys), self._signing(agent.sign)

    def complaint(self, host: ResolvedHost) -> RefusedError | None:
        """What was wrong with a security key, after `host` refused the login."""
        if self._unused:
            return not_used(self._unused, host)
        missing = [path for path in host.security_keys if _blob(path) not in self._held]
        if not missing:
            return None
        return self._not_in_an_agent(missing[0], host)

    def _not_in_an_agent(self, key: Path, host: ResolvedHost) -> RefusedError:
        from podops.transport.ssh_errors import refused_login

        others = tuple(path for path in host.identity_files if path not in host.security_keys)
        hint = f"load {key} into an SSH agent with ssh-add {key}, then try again"
        if not self._held and not any(path.is_file() for path in others):
            message = f"the key {key} lies in a security key, which only an SSH agent can use here; "
            message += f"{host.hostname} lets {host.user} in with no other"
            return RefusedError(message, hint, code="auth_refused")
        told = refused_login(replace(host, identity_files=others))
        message = f"{told.message}; not {key}, which lies in a security key"
        return RefusedError(message, f"{told.hint}; or {hint}", code="auth_refused")

    def _listing(self, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def get_keys(*args: Any) -> Any:
            self.asks = "the SSH agent is waiting for somebody: for a touch of a security key, a PIN or a yes"
            try:
                keys = await ask(*args)
                self._held = {key.key_public_data for key in keys}
                return keys
            finally:
                self.asks = ""

        return get_keys

    def _signing(self, ask: Callable[..., Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
        async def sign(key: bytes, *args: Any) -> bytes:
            name = _name(key)
            self.asks = f"touch the security key {name}" if name else "the SSH agent wants a PIN or a yes"
            try:
                return await ask(key, *args)
            except ValueError:
                self._unused = name
                raise
            finally:
                self.asks = ""

        return sign


def not_used(key: str, host: ResolvedHost, why: str = "the SSH agent got none") -> RefusedError:
    """The error for a login that failed because `key` was not touched, or is not there."""
    message = f"no signature from the security key {key}: {why}; {host.hostname} refused the login of {host.user}"
    return RefusedError(message, "plug it in, try again, and touch it when it blinks", code="auth_refused")


def not_touched(asks: str) -> RefusedError:
    """The error for a login that has waited long enough for somebody."""
    message = f"the login has waited {PATIENCE_S:g} s for somebody: {asks}"
    return RefusedError(message, "try again when you are there", code="auth_refused")


def _blob(path: Path) -> bytes | None:
    from asyncssh import read_public_key

    for candidate in (path.with_name(path.name + ".pub"), path):
        try:
            return bytes(read_public_key(candidate).public_data)
        except (OSError, ValueError):
            continue
    return None


def _name(blob: bytes) -> str:
    """As OpenSSH names a security key; empty for any other kind of key."""
    if blob[4:7] != b"sk-":
        return ""
    kind = "ED25519-SK" if b"ed25519" in blob[:40] else "ECDSA-SK"
    return f"{kind} SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"
