"""How many log in to one server at once, and that none of them keeps the others waiting for long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from podops.transport import login_places
from podops.transport.known_hosts import KnownHosts
from podops.transport.login_places import AT_ONCE, Place, login_place
from podops.transport.ssh_config import HostKeys, ResolvedHost


def server(name: str) -> ResolvedHost:
    return ResolvedHost(name, name, "root", 22, HostKeys((), KnownHosts([])), (Path("key"),))


class Logins:
    def __init__(self) -> None:
        self.begun: list[Place] = []
        self._more = asyncio.Event()
        self._end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, name: str, count: int) -> None:
        """So many of them, each of which lasts until `end`."""
        self._tasks += [asyncio.create_task(self._log_in(name)) for _ in range(count)]
        await asyncio.sleep(0)

    async def all_begun(self, count: int) -> None:
        while len(self.begun) < count:
            self._more.clear()
            await self._more.wait()

    async def end(self) -> None:
        self._end.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)

    async def _log_in(self, name: str) -> None:
        async with login_place(server(name)) as place:
            self.begun.append(place)
            self._more.set()
            await self._end.wait()


async def test_a_server_is_asked_by_so_many_at_once_and_others_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_places, "_UNANSWERED_S", 600.0)
    logins = Logins()
    await logins.begin("one", AT_ONCE + 3)
    assert len(logins.begun) == AT_ONCE
    await logins.begin("another", 2)
    assert len(logins.begun) == AT_ONCE + 2
    await logins.end()
    assert len(logins.begun) == AT_ONCE + 5


async def test_logins_that_hang_keep_others_waiting_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_places, "_UNANSWERED_S", 0.05)
    logins = Logins()
    await logins.begin("silent", AT_ONCE)
    logins.begun[0].answered()
    await logins.begin("silent", 2 * AT_ONCE)
    async with asyncio.timeout(60):
        await logins.all_begun(3 * AT_ONCE)
    await logins.end()
