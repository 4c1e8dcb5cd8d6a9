"""Private keys under a passphrase: asked for once for all pods, and kept unlocked in this process only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncssh

#: Asks a person for the passphrase of a key; the second argument tells whether the last one was wrong. `None`: none.
Ask = Callable[[Path, bool], Awaitable[str | None]]

_TRIES = 3

#: Keys that have been unlocked, by their files.
unlocked: dict[Path, asyncssh.SSHKey] = {}

_desk: Desk | None = None


class Desk:
    """Asks one question at a time, and none twice."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._refused: set[Path] = set()

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    async def free(self) -> None:
        """Wait until nobody is being asked."""
        async with self._turn:
            pass

    async def unlock(self, keys: Sequence[Path]) -> bool:
        """Whether any of `keys` is unlocked now."""
        for key in keys:
            async with self._turn:
                if key in unlocked or await self._unlock(key):
                    return True
        return False

    async def _unlock(self, key: Path) -> bool:
        import asyncssh

        for attempt in range(_TRIES if key not in self._refused else 0):
            passphrase = await self._ask(key, attempt > 0)
            if passphrase is None:
                break
            try:
                unlocked[key] = await asyncio.to_thread(asyncssh.read_private_key, key, passphrase)
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, OSError):
                continue
            return True
        self._refused.add(key)
        return False


def ask_with(ask: Ask | None) -> None:
    """Whom to ask from now on; nobody with `None`, and then a locked key is a login refused."""
    global _desk
    _desk = None if ask is None else Desk(ask)


def desk() -> Desk | None:
    return _desk
