"""Logging in by a signature at once, without asking first whether the server would take the key.

asyncssh asks, as `ssh` does, because a passphrase, an agent or a finger may be needed to sign. A key that lies in a
file and is open needs none of them, and each question is a round trip to the pod.
"""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh import auth

#: asyncssh as it was read for this; another one asks as it does by itself.
_KNOWN = "2.24."

_PUBLIC_KEY = b"publickey"


class _SignedLogin(auth._ClientPublicKeyAuth):
    async def _start(self) -> None:
        connection: Any = self._conn
        self._keypair = await connection.public_key_auth_requested()
        if self._keypair is None:
            connection.try_next_auth(next_method=True)
        elif _is_open(self._keypair):
            await self._send_signed_request()
        else:
            await self.send_request(
                asyncssh.packet.Boolean(False),
                asyncssh.packet.String(self._keypair.algorithm),
                asyncssh.packet.String(self._keypair.public_data),
            )


def _is_open(pair: Any) -> bool:
    """Whether nothing but this process is needed to sign: no agent, and no finger on a security key."""
    return getattr(pair, "_key_type", "") == "local" and not bytes(pair.algorithm).startswith(b"sk-")


def sign_at_once() -> None:
    """For every connection of this process that is made from now on."""
    if asyncssh.__version__.startswith(_KNOWN):
        auth._client_auth_handlers[_PUBLIC_KEY] = _SignedLogin
