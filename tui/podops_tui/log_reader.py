"""Follows one run's log into a buffer for as long as somebody looks at it, also over the loss of its pod."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from podops.errors import PodopsError
from podops.fleet.fleet import Fleet
from podops.fleet.log_search import LogQuery, SearchStep
from podops.fleet.run_files import LogStream
from podops.fleet.snapshot import LogChunk, LogPiece
from podops_tui.ansi import clean
from podops_tui.format import age
from podops_tui.log_buffer import LogBuffer

#: A selection that is moving on is not followed, seconds.
_SETTLE_S = 0.12

#: First and longest wait before a follow that failed is tried again, seconds.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 15.0

_TAIL_LINES = 500

#: So much is read at once of what comes before, bytes.
_EARLIER_BYTES = 256 * 1024

#: So much is read on both sides of a place far away; one that is nearer than this is gone to piece by piece, bytes.
_AROUND_BYTES, _NEAR_BYTES = 64 * 1024, 1024 * 1024

#: `(pod, project, run_id)`.
LogKey = tuple[str, str, str]


class LogReader:
    """Fills `buffer`. What was read is acknowledged by `shown` only: a view that does not draw takes no more.

    Far from the log's end, `buffer` is a part of its own, which grows in both directions as it is read.
    """

    def __init__(self, fleet: Fleet, key: LogKey, changed: Callable[[], None]) -> None:
        self._live = LogBuffer()
        self._far: LogBuffer | None = None
        #: Why there is nothing (more) to read, for a person; empty while all is well.
        self.trouble = ""
        self._fleet = fleet
        self._key = key
        self._changed = changed
        self._stream: LogStream | None = None
        self._next: int | None = None
        self._acked = 0
        self._reading = False
        # Whether a chunk waits until the log moves again.
        self._waits = False
        self._recalled = False
        self._moving = asyncio.Event()
        self._moving.set()

    @property
    def buffer(self) -> LogBuffer:
        return self._live if self._far is None else self._far

    @property
    def is_far(self) -> bool:
        """Whether `buffer` is a part of the log that its end is not in."""
        return self._far is not None

    def hold(self, still: bool) -> None:
        """While held still, nothing that is in the buffer falls off its start; else it is the log's end."""
        self._live.held = still
        if still:
            self._moving.clear()
        else:
            self._far = None
            self._moving.set()

    def shown(self) -> None:
        """All that was read has been drawn: the pod may send more."""
        if self._stream is not None and self._next is not None and self._next != self._acked:
            self._acked = self._next
            self._stream.ack(self._next)

    def search(self, query: LogQuery) -> AsyncGenerator[SearchStep]:
        """Search the log on its pod."""
        pod, project, run_id = self._key
        return self._fleet.search(pod, run_id, query, project=project)

    @property
    def unread(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The bytes of the log before `buffer`, and those between it and what was read of the log's end."""
        return (0, self.buffer.begin), (self.buffer.end, self._live.begin) if self._far else (0, 0)

    @property
    def lines_of_the_end(self) -> list[str]:
        """What was read of the log's end, also while `buffer` is another part of it."""
        return self._live.lines()

    def leave_far(self) -> None:
        """`buffer` is what was read of the log's end again."""
        self._far = None
        self._changed()

    async def go_to(self, offset: int) -> bool:
        """Have the line that begins at `offset` in `buffer`, with what is around it; whether it is. Held still only.

        Raises `PodopsError`.
        """
        while self._near(offset) and not self._moving.is_set() and await self.earlier():
            pass
        if self.buffer.index_of(offset) is None and not self._moving.is_set():
            before = await self._before(offset, _AROUND_BYTES)
            after = await self._from(offset, min(_AROUND_BYTES, max(0, self._live.begin - offset)))
            far = LogBuffer()
            far.held = True
            far.start_at(offset)
            far.put_after(after)
            if before.offset < offset:
                far.put_before(_from_a_line(before, _AROUND_BYTES))
            if not self._moving.is_set():
                self._far = far
                self._measure()
                self._changed()
        return self.buffer.index_of(offset) is not None

    def _near(self, offset: int) -> bool:
        return 0 < self.buffer.begin - offset <= _NEAR_BYTES

    async def earlier(self) -> int:
        """Read what comes before the first line, a piece at a time; how many more lines of the buffer that makes.

        0 at the log's beginning, while a piece is on its way, and unless held still: what is put at the start of a
        log that moves falls off again. Raises `PodopsError`.
        """
        buffer, begin = self.buffer, self.buffer.begin
        if not begin or self._reading or self._moving.is_set():
            return 0
        self._reading = True
        try:
            piece = await self._before(begin, _EARLIER_BYTES)
        finally:
            self._reading = False
        whole = piece.offset + len(piece.data) + piece.gap == begin
        if buffer is not self.buffer or buffer.begin != begin or not whole or piece.offset == begin:
            return 0
        added = buffer.put_before(_from_a_line(piece, _EARLIER_BYTES))
        self._changed()
        return added

    async def later(self) -> int:
        """Far from the log's end, read what comes next, until the end is reached; by how much the lines' numbers grow.

        Raises `PodopsError`.
        """
        far, end = self._far, self.buffer.end
        if far is None or self._reading:
            return 0
        self._reading = True
        try:
            piece = await self._from(end, min(_EARLIER_BYTES, max(1, self._live.begin - end)))
        finally:
            self._reading = False
        if far is not self._far or piece.offset - piece.gap != end:
            return 0
        if piece.offset < self._live.begin:
            far.put_after(piece)
        grown = 0
        if far.end >= self._live.begin or not piece.data:
            self._live.join(far)
            self._far, grown = None, self._live.first - far.first
        self._measure()
        self._changed()
        return grown

    def _measure(self) -> None:
        if self._far is not None:
            self._far.missing_after = max(0, self._live.begin - self._far.end)

    async def _before(self, offset: int, length: int) -> LogPiece:
        pod, project, run_id = self._key
        return await self._fleet.read_log_before(pod, run_id, offset, project=project, length=length)

    async def _from(self, offset: int, length: int) -> LogPiece:
        pod, project, run_id = self._key
        return await self._fleet.read_log_from(pod, run_id, offset, project=project, length=length)

    async def run(self) -> None:
        """Read to the end of a log that is complete, else until cancelled."""
        await asyncio.sleep(_SETTLE_S)
        await self._recall()
        wait = _FIRST_WAIT_S
        while True:
            begun = self._next
            try:
                await self._follow()
                return
            except PodopsError as error:
                self._say(f"log not available: {clean(error.message)}")
            finally:
                self._stream = None
            wait = _FIRST_WAIT_S if begun != self._next else min(2 * wait, _LONGEST_WAIT_S)
            await self._until_live(wait)

    async def _recall(self) -> None:
        """Show what this machine remembers of the log, until its pod tells it."""
        pod, project, run_id = self._key
        seen = self._fleet.snapshot.pods.get(pod)
        if seen is None or seen.state == "live":
            return
        known = await self._fleet.recall_log(pod, run_id, project=project)
        if known is not None:
            self._recalled = True
            self._live.start_at(known.start)
            self._live.remark(f"as it was {age(time.time() - known.as_of)} ago, remembered on this machine")
            self._live.feed(known.data)
            self._changed()

    def _begun_with(self, chunk: LogChunk) -> LogChunk:
        """The first bytes come from the pod: what was remembered gives way to them.

        What the pod passed over to come to them is not left out: like all that comes before, it is read by going up.
        """
        if chunk.skipped:
            chunk = replace(chunk, skipped=0, gap=0)
        if self._recalled:
            self._recalled = False
            self._start_over()
        self._live.start_at(chunk.offset - chunk.gap)
        return chunk

    def _start_over(self) -> None:
        held, self._live, self._far = self._live.held, LogBuffer(), None
        self._live.held = held

    async def _follow(self) -> None:
        pod, project, run_id = self._key
        lines = _TAIL_LINES if self._next is None else None
        async with self._fleet.follow(pod, run_id, project=project, tail_lines=lines, offset=self._next) as stream:
            self._stream = stream
            self._say("")
            # As the app's own work: what draws asks which app it is.
            context = contextvars.copy_context()
            stream.offer(lambda chunk: context.run(self._take_at_once, chunk))
            async for chunk in stream:
                if self._must_wait:
                    self._waits = True
                    await self._moving.wait()
                    self._waits = False
                self._take(chunk)

    @property
    def _must_wait(self) -> bool:
        """Whether nothing more fits in a log that is held still."""
        return self._live.full and not self._moving.is_set()

    def _take_at_once(self, chunk: LogChunk) -> bool:
        """Without a turn of the event loop between the pod's word and the pane; unless an earlier chunk waits."""
        if self._waits or self._must_wait:
            return False
        self._take(chunk)
        return True

    def _take(self, chunk: LogChunk) -> None:
        if chunk.anew:
            self._start_over()
            self._acked = 0
        first = self._next is None or chunk.anew
        self._feed(self._begun_with(chunk) if first else chunk)
        self._next = chunk.offset + len(chunk.data)
        if chunk.trouble is not None:
            self.trouble = clean(chunk.trouble)
        self._changed()

    def _feed(self, chunk: LogChunk) -> None:
        if chunk.skipped:
            self._live.skipped(chunk.skipped)
        if chunk.gap:
            self._live.freed(chunk.gap)
        if chunk.begin is not None:
            self._live.begins(chunk.begin)
        self._live.feed(chunk.data)

    async def _until_live(self, wait: float) -> None:
        """Wait `wait` seconds, and then for the pod."""
        await asyncio.sleep(wait)
        changed = asyncio.Event()
        stop = self._fleet.subscribe(lambda _pods: changed.set())
        try:
            while (pod := self._fleet.snapshot.pods.get(self._key[0])) is not None and pod.state != "live":
                changed.clear()
                await changed.wait()
        finally:
            stop()

    def _say(self, text: str) -> None:
        if text != self.trouble:
            self.trouble = text
            self._changed()


def _from_a_line(piece: LogPiece, asked: int) -> LogPiece:
    """The piece from its first line start on; of a line longer than the piece, from where it was first begun anew.

    Where a carriage return never begins it anew, it is shown from where the piece begins. A piece shorter than what was
    asked for begins where nothing stands before it.
    """
    if not piece.offset or len(piece.data) != asked:
        return piece
    cuts = (piece.data.find(end) + 1 for end in (b"\n", b"\r"))
    cut = next((cut for cut in cuts if 0 < cut < asked), 0)
    return replace(piece, offset=piece.offset + cut, data=piece.data[cut:])
