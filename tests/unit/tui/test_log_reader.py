"""A log that is followed also over the loss of its pod, no faster than it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

import podops_tui.log_reader
from podops.errors import UnreachableError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import AttemptBegin, FleetSnapshot, LogChunk, LogPiece, PodSnapshot
from podops_tui.log_reader import LogReader


class OneLog:
    """A fleet whose one log comes in given chunks; a pod that is down refuses to be followed."""

    def __init__(self, *chunks: LogChunk) -> None:
        self.chunks = list(chunks)
        self.acked: list[int] = []
        self.whole = b""
        self.gap = (0, 0)
        self.asked: list[int | None] = []
        self.pod = PodSnapshot("p", "live", "local", "local")
        self.callbacks: list[Callable[[frozenset[str]], None]] = []
        #: Whether the link holds after the last chunk.
        self.stays = False

    @property
    def snapshot(self) -> FleetSnapshot:
        return FleetSnapshot({"p": self.pod})

    def subscribe(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def turn(self, state: str) -> None:
        self.pod = replace(self.pod, state=cast(Any, state))
        for callback in list(self.callbacks):
            callback(frozenset({"p"}))

    @asynccontextmanager
    async def follow(self, pod: str, run_id: str, *, offset: int | None, **rest: Any) -> AsyncIterator[OneLog]:
        self.asked.append(offset)
        if self.pod.state != "live":
            raise UnreachableError("pod p cannot be reached: no route")
        yield self

    async def __aiter__(self) -> AsyncIterator[LogChunk]:
        while self.chunks or self.stays:
            if self.chunks:
                yield self.chunks.pop(0)
            else:
                await asyncio.sleep(0.01)
        if self.pod.state == "live":
            self.turn("unreachable")
            raise UnreachableError("the link was lost")

    async def read_log_before(self, pod: str, run_id: str, before: int, *, project: str, length: int) -> LogPiece:
        start = max(0, before - length)
        return LogPiece(start, self.whole[start:before])

    async def read_log_from(self, pod: str, run_id: str, offset: int, *, project: str, length: int) -> LogPiece:
        freed = self.gap[1] - offset if self.gap[0] <= offset < self.gap[1] else 0
        start = offset + freed
        stop = self.gap[0] if start < self.gap[0] else len(self.whole)
        return LogPiece(start, self.whole[start : min(start + length, stop)], freed)

    def offer(self, take: Callable[[LogChunk], bool]) -> None:
        self.offered = take

    def ack(self, offset: int) -> None:
        self.acked.append(offset)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podops_tui.log_reader, "_SETTLE_S", 0.0)
    monkeypatch.setattr(podops_tui.log_reader, "_FIRST_WAIT_S", 0.01)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def reader(fleet: OneLog) -> LogReader:
    return LogReader(cast(Fleet, fleet), ("p", "proj", "run"), lambda: None)


async def test_a_follow_that_failed_says_why_and_goes_on_where_it_was_when_the_pod_is_live_again() -> None:
    fleet = OneLog(LogChunk(0, b"one\n"))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: "the link was lost" in log.trouble and len(fleet.callbacks) == 1)
    assert log.buffer.lines() == ["one"]
    fleet.chunks.append(LogChunk(4, b"two\n", eof=True))
    fleet.turn("live")
    await until(lambda: log.buffer.lines() == ["one", "two"])
    assert fleet.asked == [None, 4]
    work.cancel()


async def test_a_log_that_cannot_be_read_for_a_while_says_why_until_it_can() -> None:
    fleet = OneLog(LogChunk(0, b"one\n"), LogChunk(4, b"", trouble="its directory is gone"))
    fleet.stays = True
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: log.trouble == "its directory is gone")
    fleet.chunks.append(LogChunk(4, b"two\n", trouble=""))
    await until(lambda: log.buffer.lines() == ["one", "two"])
    assert log.trouble == ""
    work.cancel()


async def test_what_was_passed_over_and_what_lies_before_is_told() -> None:
    fleet = OneLog(LogChunk(2048, b"a\n"), LogChunk(5000, b"b\n", skipped=2950))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: len(log.buffer.lines()) == 4)
    before, a, skipped, b = log.buffer.lines()
    assert (a, b) == ("a", "b") and "2.0 KiB before this" in before and "2.9 KiB skipped" in skipped
    work.cancel()


async def test_what_the_pod_passed_over_to_come_to_the_end_is_read_by_going_up_and_no_update_is_cut_in_two() -> None:
    fleet = OneLog()
    updates = [b"%5d of 40000 steps are done, at 123.4 steps a second\r" % number for number in range(1, 40_001)]
    fleet.whole = b"begun\n" + b"".join(updates)
    place = fleet.whole.index(b"35000 of")
    fleet.chunks.append(LogChunk(place, fleet.whole[place:], skipped=place))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: len(log.buffer.lines()) == 2)
    before, last = log.buffer.lines()
    assert "before this" in before and last.startswith("40000 of 40000")
    log.hold(True)
    while await log.earlier():
        pass
    first, *read = log.buffer.lines()
    assert first == "begun" and len(read) > 5 and all(f"{line}\r".encode() in updates for line in read)
    work.cancel()


async def test_what_is_gone_and_where_an_attempt_begins_is_told() -> None:
    begin = AttemptBegin(5000, 2, "nccl")
    fleet = OneLog(LogChunk(0, b"a\n"), LogChunk(5000, b"b\n", gap=4998, begin=begin))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: len(log.buffer.lines()) == 4)
    a, gap, attempt, b = log.buffer.lines()
    assert (a, b) == ("a", "b") and "4.9 KiB freed here by max_log_size" in gap and "attempt 2, after nccl" in attempt
    work.cancel()


async def test_what_lies_before_is_read_piece_by_piece_while_the_log_is_held_still() -> None:
    rows = [*(f"line {number}" for number in range(30_000)), "é" * 3000, *map(str, range(30_000))]
    fleet = OneLog()
    fleet.whole = "".join(f"{row}\n" for row in rows).encode()
    tail = fleet.whole[-60_000:]
    fleet.chunks.append(LogChunk(len(fleet.whole) - len(tail), tail))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: len(log.buffer.lines()) > 1)
    assert await log.earlier() == 0
    log.hold(True)
    while await log.earlier():
        assert log.buffer.lines()[-1] == "29999"
    assert log.buffer.lines() == rows
    log.hold(False)
    log.buffer.feed(b"more\n")
    assert log.buffer.lines()[1:] == [*rows[-4999:], "more"]
    log.hold(True)
    while await log.earlier():
        pass
    assert log.buffer.lines() == [*rows, "more"]
    work.cancel()


async def test_a_line_longer_than_a_piece_is_read_back_too() -> None:
    fleet = OneLog()
    fleet.whole = b"first\n" + b"x" * 700_000 + b"\nlast\n"
    fleet.chunks.append(LogChunk(len(fleet.whole) - 5, b"last\n"))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: "last" in log.buffer.lines())
    log.hold(True)
    while log.buffer.begin:
        assert await log.earlier() >= 0
    assert log.buffer.lines()[0] == "first" and log.buffer.lines()[-1] == "last"
    work.cancel()


async def test_only_what_was_shown_is_acknowledged_so_a_hidden_view_lets_its_pod_rest() -> None:
    fleet = OneLog(LogChunk(0, b"one\n"))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: log.buffer.lines() == ["one"])
    assert fleet.acked == []
    work.cancel()


async def test_a_chunk_is_in_the_buffer_the_moment_it_comes_but_never_before_an_earlier_one_that_waits() -> None:
    rows = [f"line {number}" for number in range(5_000)]
    fleet = OneLog(LogChunk(0, "".join(f"{row}\n" for row in rows).encode()))
    fleet.stays = True
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: log.buffer.lines() == rows)
    end = log.buffer.end
    assert fleet.offered(LogChunk(end, b"at once\n")) and log.buffer.lines()[-1] == "at once"
    log.hold(True)
    assert not fleet.offered(LogChunk(end + 8, b"waits\n"))
    fleet.chunks.append(LogChunk(end + 8, b"waits\n"))
    await until(lambda: not fleet.chunks)
    log.hold(False)
    assert not fleet.offered(LogChunk(end + 14, b"later\n"))
    fleet.chunks.append(LogChunk(end + 14, b"later\n"))
    await until(lambda: log.buffer.lines()[-3:] == ["at once", "waits", "later"])
    work.cancel()


async def far_reader(fleet: OneLog, tail: int) -> tuple[LogReader, asyncio.Task[None]]:
    """A reader that has read so many bytes of the end of the whole log, and is held still."""
    fleet.chunks.append(LogChunk(len(fleet.whole) - tail, fleet.whole[-tail:]))
    log = reader(fleet)
    work = asyncio.create_task(log.run())
    await until(lambda: len(log.buffer.lines()) > 1)
    log.hold(True)
    return log, work


async def test_a_place_far_away_is_shown_with_what_is_around_it_and_read_on_to_the_end() -> None:
    fleet = OneLog()
    rows = [f"line {number}" for number in range(400_000)]
    fleet.whole = "".join(f"{row}\n" for row in rows).encode()
    log, work = await far_reader(fleet, 60_000)
    place = fleet.whole.index(b"line 100000\n")
    assert await log.go_to(place) and log.is_far
    index = log.buffer.index_of(place)
    assert index is not None
    before, *shown, _cut_in_two, after = log.buffer.lines()
    assert shown[index - 1] == "line 100000" and shown == rows[100_001 - index : 100_001 - index + len(shown)]
    assert "before this" in before and "after this" in after and index > 1000 and len(shown) - index > 1000
    number = log.buffer.first + index
    while log.is_far:
        assert log.buffer.lines()[number - log.buffer.first] == "line 100000"
        number += await log.later()
    assert log.buffer.lines()[number - log.buffer.first] == "line 100000"
    assert log.buffer.lines()[1:] == rows[100_001 - index :]
    assert await log.earlier() and log.buffer.lines()[number - log.buffer.first] == "line 100000"
    assert await log.later() == 0
    work.cancel()


async def test_a_place_a_little_above_is_gone_to_without_leaving_the_end() -> None:
    fleet = OneLog()
    fleet.whole = b"".join(b"line %d\n" % number for number in range(100_000))
    log, work = await far_reader(fleet, 60_000)
    place = fleet.whole.index(b"line 60000\n")
    assert await log.go_to(place) and not log.is_far
    index = log.buffer.index_of(place)
    assert index is not None and log.buffer.lines()[index] == "line 60000" and log.buffer.lines()[-1] == "line 99999"
    work.cancel()


async def test_to_follow_again_is_to_leave_the_place_far_away() -> None:
    fleet = OneLog()
    fleet.whole = b"".join(b"line %d\n" % number for number in range(400_000))
    log, work = await far_reader(fleet, 60_000)
    assert await log.go_to(0) and log.buffer.lines()[0] == "line 0"
    log.hold(False)
    assert not log.is_far and log.buffer.lines()[-1] == "line 399999"
    assert not await log.go_to(0)
    work.cancel()


async def test_what_was_freed_below_a_place_far_away_is_told_when_it_is_read_on() -> None:
    fleet = OneLog()
    fleet.whole = b"".join(b"line %d\n" % number for number in range(400_000))
    fleet.gap = (fleet.whole.index(b"line 150000\n"), fleet.whole.index(b"line 380000\n") + 3)
    log, work = await far_reader(fleet, 60_000)
    assert await log.go_to(fleet.whole.index(b"line 149000\n"))
    while log.is_far:
        await log.later()
    lines = log.buffer.lines()
    at = lines.index("line 149999")
    assert "freed here by max_log_size" in lines[at + 1] and lines[at + 2 : at + 4] == ["e 380000", "line 380001"]
    assert lines[-1] == "line 399999"
    work.cancel()
