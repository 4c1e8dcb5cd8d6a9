"""Follows one run's log into a buffer for as long as somebody looks at it, also over the loss of its pod."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from podops.errors import PodopsError
from podops.fleet.fleet import Fleet, LogStream
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

#: `(pod, project, run_id)`.
LogKey = tuple[str, str, str]


class LogReader:
    """Fills `buffer`. What was read is acknowledged by `shown` only: a view that does not draw takes no more."""

    def __init__(self, fleet: Fleet, key: LogKey, changed: Callable[[], None]) -> None:
        self.buffer = LogBuffer()
        #: Why there is nothing (more) to read, for a person; empty while all is well.
        self.trouble = ""
        self._fleet = fleet
        self._key = key
        self._changed = changed
        self._stream: LogStream | None = None
        self._next: int | None = None
        self._acked = 0
        self._reading_earlier = False
        self._recalled = False
        self._moving = asyncio.Event()
        self._moving.set()

    def hold(self, still: bool) -> None:
        """While held still, nothing that is in the buffer falls off its start."""
        self.buffer.held = still
        if still:
            self._moving.clear()
        else:
            self._moving.set()

    def shown(self) -> None:
        """All that was read has been drawn: the pod may send more."""
        if self._stream is not None and self._next is not None and self._next != self._acked:
            self._acked = self._next
            self._stream.ack(self._next)

    async def earlier(self) -> int:
        """Read what comes before the first line, a piece at a time; how many more lines of the buffer that makes.

        0 at the log's beginning, while a piece is on its way, and unless held still: what is put at the start of a
        log that moves falls off again. Raises `PodopsError`.
        """
        begin = self.buffer.begin
        if not begin or self._reading_earlier or self._moving.is_set():
            return 0
        pod, project, run_id = self._key
        self._reading_earlier = True
        try:
            piece = await self._fleet.read_log_before(pod, run_id, begin, project=project, length=_EARLIER_BYTES)
        finally:
            self._reading_earlier = False
        whole = piece.offset + len(piece.data) + piece.gap == begin
        if self.buffer.begin != begin or not whole or piece.offset == begin:
            return 0
        added = self.buffer.put_before(_from_a_line(piece))
        self._changed()
        return added

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
            self.buffer.start_at(known.start)
            self.buffer.remark(f"as it was {age(time.time() - known.as_of)} ago, remembered on this machine")
            self.buffer.feed(known.data)
            self._changed()

    def _begin(self, offset: int) -> None:
        """The first bytes come from the pod: what was remembered gives way to them."""
        if self._recalled:
            self._recalled = False
            held, self.buffer = self.buffer.held, LogBuffer()
            self.buffer.held = held
        self.buffer.start_at(offset)

    async def _follow(self) -> None:
        pod, project, run_id = self._key
        lines = _TAIL_LINES if self._next is None else None
        async with self._fleet.follow(pod, run_id, project=project, tail_lines=lines, offset=self._next) as stream:
            self._stream = stream
            self._say("")
            async for chunk in stream:
                if not self._moving.is_set() and self.buffer.full:
                    await self._moving.wait()
                if self._next is None:
                    self._begin(chunk.offset - chunk.skipped - chunk.gap)
                self._take(chunk)
                self._next = chunk.offset + len(chunk.data)
                self._changed()

    def _take(self, chunk: LogChunk) -> None:
        if chunk.skipped:
            self.buffer.skipped(chunk.skipped)
        if chunk.gap:
            self.buffer.freed(chunk.gap)
        if chunk.begin is not None:
            self.buffer.begins(chunk.begin)
        self.buffer.feed(chunk.data)

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


def _from_a_line(piece: LogPiece) -> LogPiece:
    """The piece from its first line start on; a line longer than the piece is shown from where the piece begins.

    A piece shorter than what was asked for begins where nothing stands before it.
    """
    cut = piece.data.find(b"\n") + 1 if piece.offset and len(piece.data) == _EARLIER_BYTES else 0
    if cut in (0, len(piece.data)):
        return piece
    return replace(piece, offset=piece.offset + cut, data=piece.data[cut:])
