"""One run's log as a stream of chunks that survives the loss of its link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from podops.errors import NotFoundError, PodActionError, PodopsError, ProtocolError, RefusedError, UnreachableError
from podops.fleet import wire
from podops.fleet.pod_link import PodLink
from podops.fleet.snapshot import AttemptBegin, LogChunk
from podops.link.client import REQUEST_S, LinkClient
from podops_runners.frames import MAX_PAYLOAD_BYTES, Frame

#: A follow that failed on an unreachable pod is tried again when the state changes, or after so many seconds.
_RETRY_S = 1.0


#: A window is acknowledged in so many parts.
_ACKS = 4


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """What to follow. `start` is the `from` of the protocol, used until the first byte's place is known."""

    run_id: str
    project: str
    start: dict[str, int | list[int]]
    window: int
    lossless: bool
    #: How long the pod may take to answer, seconds.
    patience_s: float = REQUEST_S


class FollowedLog:
    """The `LogStream` of one subscription at a time; use it through `followed`."""

    def __init__(self, link: PodLink, request: FollowRequest, tap: Callable[[LogChunk], None] | None) -> None:
        self._link = link
        self._request = request
        self._tap = tap
        self._queue: asyncio.Queue[LogChunk | PodopsError] = asyncio.Queue()
        self._queued_bytes = 0
        self._offer: Callable[[LogChunk], bool] = lambda _chunk: False
        self._most_bytes = 8 * request.window + 2 * MAX_PAYLOAD_BYTES
        self._client: LinkClient | None = None
        self._sub: int | None = None
        self._next: int | None = None
        # Whose log it is, as the pod names that; and whether the next chunk is of another one.
        self._log = ""
        self._anew = False
        self._acked = 0
        #: How long the log was when it was asked for first, bytes.
        self.size = 0
        self._complete = False
        self._over = False

    def __aiter__(self) -> AsyncIterator[LogChunk]:
        return self

    async def __anext__(self) -> LogChunk:
        if self._over:
            raise StopAsyncIteration
        item = await self._queue.get()
        if isinstance(item, PodopsError):
            self._over = True
            raise item
        self._queued_bytes -= len(item.data)
        self._over = item.eof
        return item

    def offer(self, take: Callable[[LogChunk], bool]) -> None:
        self._offer = take

    def ack(self, offset: int) -> None:
        # A pod with most of its window left waits for nothing.
        if offset - self._acked < self._request.window // _ACKS:
            return
        if self._client is not None and self._sub is not None:
            self._acked = offset
            self._client.notify("ack", sub=self._sub, offset=offset)

    async def subscribe(self) -> None:
        """Follow from the first byte not yet received. Raises `PodopsError`."""
        client = await self._link.client()
        start = self._request.start if self._next is None else {"offset": self._next}
        fields: dict[str, Any] = {
            "log": self._log,
            "run_id": self._request.run_id,
            "project": self._request.project,
            "name": "stdout.log",
            "from": start,
            "window": self._request.window,
            "lossless": self._request.lossless,
        }
        within, subscribed = self._request.patience_s, partial(self._subscribed, client)
        await client.request("follow", within=within, on_answer=subscribed, **fields)

    async def keep(self) -> None:
        """Subscribe again whenever the link was lost, until the log is complete."""
        while not self._complete and self._client is not None:
            await self._client.closed()
            self._client = self._sub = None
            while self._client is None and not self._complete:
                await self._resubscribe()

    async def unsubscribe(self) -> None:
        client, sub = self._client, self._sub
        self._client = self._sub = None
        if client is not None and sub is not None:
            self._link.listeners.forget(sub)
            with contextlib.suppress(PodopsError):
                await client.request("unfollow", within=1.0, sub=sub)

    async def _resubscribe(self) -> None:
        try:
            await self.subscribe()
        except (NotFoundError, RefusedError, ProtocolError) as error:
            self._stop(error)
        except UnreachableError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S):
                    await self._link.known.state_change()
        except PodopsError as error:
            self._stop(error)

    def _stop(self, error: PodopsError) -> None:
        self._complete = True
        self._queue.put_nowait(error)

    def _subscribed(self, client: LinkClient, answer: Frame) -> None:
        sub = wire.integer(answer.header.get("sub"))
        if sub is None:
            raise ProtocolError("the pod answered `follow` without a subscription")
        self._client, self._sub = client, sub
        if self._next is None:
            self._next = wire.count(answer.header.get("offset"))
            self.size = wire.count(answer.header.get("size"))
        elif answer.header.get("anew") is True:
            self._next, self._anew = 0, True
        self._log = wire.text(answer.header.get("log")) or self._log
        # Where a pod counts its window from.
        self._acked = self._next
        self._link.listeners.listen(sub, self._take)

    def _take(self, frame: Frame) -> None:
        if self._complete:
            return
        if frame.header.get("anew") is True:
            self._next, self._acked, self._anew = 0, 0, True
            self._log = wire.text(frame.header.get("log")) or self._log
        expected = self._next or 0
        given = wire.integer(frame.header.get("offset"))
        offset, data = expected if given is None else given, frame.payload
        eof = frame.header.get("eof") is True
        trouble = wire.text(frame.header["trouble"]) if "trouble" in frame.header else None
        if eof and trouble:
            # Not its last byte: what comes after it can be had from nobody any more.
            self._stop(PodActionError(f"run {self._request.run_id}: {trouble}", "see `ops run list`"))
            return
        if offset < expected:
            data = data[expected - offset :]
            offset = expected
        if not data and not eof and offset == expected and trouble is None:
            return
        self._next = offset + len(data)
        self._complete = eof
        gap = min(wire.count(frame.header.get("gap")), offset - expected)
        begin = _begin(frame, offset)
        chunk = LogChunk(offset, data, offset - expected - gap, eof, gap, begin, self._anew, trouble)
        self._anew = False
        self._hand_over(chunk)
        if self._tap is not None and (data or eof):
            self._tap(chunk)

    def _hand_over(self, chunk: LogChunk) -> None:
        try:
            if self._queue.empty() and not chunk.eof and self._offer(chunk):
                return
        except Exception as error:  # whoever reads one log must not cost the link of all
            self._stop(PodopsError(f"it cannot be shown: {type(error).__name__}: {error}"))
            return
        self._queued_bytes += len(chunk.data)
        if self._queued_bytes > self._most_bytes:
            self._stop(ProtocolError("the pod sent more of the log than was asked for"))
            return
        self._queue.put_nowait(chunk)


def _begin(frame: Frame, offset: int) -> AttemptBegin | None:
    number = wire.count(frame.header.get("attempt"))
    return AttemptBegin(offset, number, wire.text(frame.header.get("after"))) if number > 1 else None


@contextlib.asynccontextmanager
async def followed(
    link: PodLink, request: FollowRequest, tap: Callable[[LogChunk], None] | None = None
) -> AsyncIterator[FollowedLog]:
    """Follow a log for the length of a `with` block; `tap` sees every chunk.

    Raises `NotFoundError`, `UnreachableError`.
    """
    log = FollowedLog(link, request, tap)
    keeper: asyncio.Task[None] | None = None
    try:
        await log.subscribe()
        keeper = asyncio.create_task(log.keep(), name=f"podops-follow-{request.run_id}")
        yield log
    finally:
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await log.unsubscribe()
