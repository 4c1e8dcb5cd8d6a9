"""A fleet whose one log grows when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import LogChunk
from tests.terminal.recorded_fleet import recorded


class TypedLog:
    """A log of which a test says when it grows."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._offset = 0

    def type(self, line: str) -> None:
        self._lines.put_nowait(line.encode() + b"\n")

    async def __aiter__(self) -> AsyncIterator[LogChunk]:
        while True:
            data = await self._lines.get()
            yield LogChunk(self._offset, data)
            self._offset += len(data)

    def ack(self, offset: int) -> None: ...


def fleet_with(log: TypedLog, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The recorded fleet, of whose runs every one has this log."""
    found, fleet = recorded()

    @asynccontextmanager
    async def follow(*run: Any, **start: Any) -> AsyncIterator[TypedLog]:
        yield log

    monkeypatch.setattr(found, "follow", follow)
    return fleet
