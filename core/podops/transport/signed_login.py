"""Logging in by a signature at once, without asking first what the server would take.

asyncssh asks, as `ssh` does, which methods there are, and whether a key would be taken, because a passphrase, an agent
or a finger may be needed to sign. A key that lies in a file and is open needs none of them, and each question is a
round trip to the pod.
"""

from __future__ import annotations

import weakref
from typing import Any

import asyncssh
from asyncssh import auth

#: asyncssh as it was read for this; another one asks as it does by itself.
_KNOWN = "2.24."

_PUBLIC_KEY, _NONE = b"publickey", b"none"

#: Those that have not asked yet whether they are let in without any key.
_keys_first: weakref.WeakSet[Any] = weakref.WeakSet()


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

    def auth_failed(self) -> None:
        connection: Any = self._conn
        if connection in _keys_first:
            # After every key: some servers let in whom they know by other means.
            connection._auth_methods.append(_NONE)


def _is_open(pair: Any) -> bool:
    """Whether nothing but this process is needed to sign: no agent, and no finger on a security key."""
    return getattr(pair, "_key_type", "") == "local" and not bytes(pair.algorithm).startswith(b"sk-")


def sign_at_once() -> None:
    """For every connection of this process that is made from now on."""
    if asyncssh.__version__.startswith(_KNOWN):
        auth._client_auth_handlers[_PUBLIC_KEY] = _SignedLogin


def keys_first(connection: Any) -> None:
    """Let `connection`, which was just made, try its keys before it asks which methods there are.

    Not where something else than a key may come before them.
    """
    alone = connection._gss is None and not connection._client_host_keys
    if asyncssh.__version__.startswith(_KNOWN) and alone and _PUBLIC_KEY in connection._preferred_auth:
        _keys_first.add(connection)
        connection._auth_methods = [_PUBLIC_KEY, _NONE]
