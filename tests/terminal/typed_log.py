"""A fleet whose one log grows when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import LogChunk
from tests.terminal.recorded_fleet import recorded


class TypedLog:
    """A log of which a test says when it grows."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[LogChunk] = asyncio.Queue()
        self._offset = 0
        self._take: Callable[[LogChunk], bool] = lambda _chunk: False

    def type(self, line: str) -> None:
        chunk = LogChunk(self._offset, line.encode() + b"\n")
        self._offset += len(chunk.data)
        if not (self._chunks.empty() and self._take(chunk)):
            self._chunks.put_nowait(chunk)

    async def __aiter__(self) -> AsyncIterator[LogChunk]:
        while True:
            yield await self._chunks.get()

    def offer(self, take: Callable[[LogChunk], bool]) -> None:
        self._take = take

    def ack(self, offset: int) -> None: ...


def fleet_with(log: TypedLog, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The recorded fleet, of whose runs every one has this log."""
    found, fleet = recorded()

    @asynccontextmanager
    async def follow(*run: Any, **start: Any) -> AsyncIterator[TypedLog]:
        yield log

    monkeypatch.setattr(found, "follow", follow)
    return fleet
