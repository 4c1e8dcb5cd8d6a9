"""The near end of a link: requests and their answers, pushes, and whether the far end still lives."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any

from podops.errors import (
    NotFoundError,
    PodActionError,
    PodopsError,
    ProtocolError,
    RefusedActionError,
    UnreachableError,
    UsageError,
)
from podops.link import pulse
from podops.transport.base import HandsOver, PodProcess
from podops_runners import protocol
from podops_runners.frames import Frame, FrameDecoder, FrameError, encode_frame

#: How long an answer may take, seconds.
REQUEST_S = 30.0

#: A pod that says nothing at all for this long is gone, seconds. It pushes a sample every second, or answers pings.
SILENCE_S = 9.0

#: A pod that has left so many pings without an answer is not sent more; its end is then its own dead man's.
_MOST_PINGS = 32

_CHUNK = 256 * 1024
_TEXT_LIMIT = 2000

_ERRORS: dict[str, type[PodopsError]] = {
    protocol.E_USAGE: UsageError,
    protocol.E_NOT_FOUND: NotFoundError,
    protocol.E_EXISTS: RefusedActionError,
    protocol.E_REFUSED: RefusedActionError,
    protocol.E_PROTOCOL: ProtocolError,
}


class _Request:
    """One request in flight. `on_answer` is called in stream order, before any later push is."""

    def __init__(self, on_answer: Callable[[Frame], None] | None) -> None:
        self.future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self.on_answer = on_answer


class LinkClient:
    """Speaks frames with one pod-side process.

    `on_push` is called in the event loop for each push, in order. After the link is lost every request raises
    the reason, and `closed` returns it.
    """

    def __init__(
        self,
        process: PodProcess,
        pod: str,
        on_push: Callable[[Frame], None],
        early: bytes = b"",
        *,
        silence_s: float = SILENCE_S,
        shared: bool = False,
    ) -> None:
        """After `silence_s` seconds without a byte from the pod the link counts as lost."""
        #: Whether it is a share of another process's link.
        self.shared = shared
        self._process = process
        self._pod = pod
        self._on_push = on_push
        self._early = early
        self._silence_s = silence_s
        self._ids = itertools.count(1)
        self._pending: dict[int, _Request] = {}
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._pinged_at = time.monotonic()
        self._lost: asyncio.Future[UnreachableError] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self._decoder = FrameDecoder()
        self._stop_looking: Callable[[], None] = lambda: None
        self._latency_s: float | None = None
        #: When the pings without an answer were sent, by their numbers.
        self._pings: dict[int, float] = {}
        #: Bytes received; a slow line moves them long before a frame is whole.
        self._heard = 0
        # What was heard when silence was looked at last, and for how many seconds nothing came after it.
        self._heard_before = 0
        self._silent_s = 0.0
        #: When the last byte came, on the monotonic clock.
        self.heard_at = time.monotonic()

    @property
    def latency_s(self) -> float | None:
        """The last measured time of a ping and its answer, seconds; more when one under way takes longer already."""
        waiting = next(iter(self._pings.values()), None)
        if self._latency_s is None or waiting is None:
            return self._latency_s
        return max(self._latency_s, time.monotonic() - waiting)

    @property
    def lost(self) -> bool:
        return self._lost.done()

    def start(self) -> None:
        """Begin to read, write and ping."""
        for work in (self._read, self._write):
            self._tasks.append(asyncio.create_task(self._guard(work), name=f"podops-link-{self._pod}"))
        self._stop_looking = pulse.look_each_tick(self._look_for_life)
        self._ping()

    async def closed(self) -> UnreachableError:
        """Wait until the link is lost; why it was."""
        return await asyncio.shield(self._lost)

    async def request(
        self,
        op: str,
        *,
        within: float = REQUEST_S,
        on_answer: Callable[[Frame], None] | None = None,
        sent_as: int | None = None,
        **fields: Any,
    ) -> Frame:
        """`forward` with the request's fields as they are called."""
        return await self.forward(op, fields, within=within, on_answer=on_answer, sent_as=sent_as)

    async def forward(
        self,
        op: str,
        fields: Mapping[str, Any],
        *,
        within: float = REQUEST_S,
        on_answer: Callable[[Frame], None] | None = None,
        sent_as: int | None = None,
    ) -> Frame:
        """Send one request and return its answer; one that was sent by other means has the number `sent_as`, below 1.

        Whatever the fields are called, they are the pod's alone.
        Raises what the pod answered as a `PodopsError`, `UnreachableError` when the link is lost or no answer
        comes `within` so many seconds.
        """
        if self._lost.done():
            raise _again(self._lost.result())
        number = next(self._ids) if sent_as is None else sent_as
        request = self._pending[number] = _Request(on_answer)
        if sent_as is None:
            self._send({"id": number, "op": op, **fields})
        try:
            # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with the answer.
            async with asyncio.timeout(within):
                return await request.future
        except TimeoutError:
            raise UnreachableError(
                f"pod {self._pod} did not answer `{op}` within {within:g} s",
                "it may be overloaded; try again",
            ) from None
        finally:
            if request.future.cancelled() and not self._lost.done():
                self._abandon(number)
            else:
                self._pending.pop(number, None)

    def notify(self, op: str, payload: bytes = b"", **fields: Any) -> None:
        """Send a frame that has no answer; nothing happens on a lost link.

        Nothing here holds back whoever sends much: payloads need a limit of their own.
        """
        if not self._lost.done():
            self._send({"op": op, **fields}, payload)

    def tell(self, op: str, **fields: Any) -> None:
        """Send a request whose answer nobody waits for; nothing happens on a lost link."""
        if not self._lost.done():
            self._send({"id": next(self._ids), "op": op, **fields})

    async def close(self) -> None:
        """End the link; requests in flight raise `UnreachableError`."""
        self._lose(UnreachableError(f"the link to pod {self._pod} was closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._process.close()

    def _send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self._outbox.put_nowait(encode_frame(header, payload))

    def _abandon(self, number: int) -> None:
        """Nobody waits for this answer any more: if it opens a subscription, end that at once."""

        def end(frame: Frame) -> None:
            self._pending.pop(number, None)
            if (sub := frame.header.get("sub")) is not None:
                self._send({"id": next(self._ids), "op": "unfollow", "sub": sub})

        self._pending[number].on_answer = end

    async def _guard(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except UnreachableError as error:
            self._lose(error)
        except FrameError as error:
            self._lose(ProtocolError(f"pod {self._pod} sent something that is not our protocol: {error}"))
        except Exception as error:
            # A pod can make nothing here fail; if it does all the same, this link ends and the others go on.
            self._lose(ProtocolError(f"pod {self._pod}: the link failed: {type(error).__name__}: {error}"))

    def _lose(self, reason: UnreachableError) -> None:
        if self._lost.done():
            return
        self._stop_looking()
        self._stop_looking = lambda: None
        self._lost.set_result(reason)
        for request in self._pending.values():
            if not request.future.done():
                request.future.set_exception(_again(reason))
                # A request abandoned by its caller leaves an exception nobody asks for.
                request.future.exception()
        self._pending.clear()
        self._pings.clear()

    async def _read(self) -> None:
        for frame in self._decoder.feed(self._early):
            self._take(frame)
        if isinstance(self._process, HandsOver):
            await self._process.hand_over(self._hear)
        else:
            while data := await self._process.read(_CHUNK):
                self._hear(data)
        status, stderr = await self._process.wait_closed()
        said = f": {stderr.splitlines()[-1][:300]}" if stderr else ""
        how = "the connection was lost" if status is None else f"its link process ended with status {status}"
        raise UnreachableError(f"pod {self._pod}: {how}{said}")

    def _hear(self, data: bytes) -> None:
        self._heard += len(data)
        self.heard_at = time.monotonic()
        for frame in self._decoder.feed(data):
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        number = frame.header.get("id")
        if number is None:
            self._on_push(frame)
            return
        if isinstance(number, int) and (sent := self._pings.pop(number, None)) is not None:
            self._latency_s = time.monotonic() - sent
            return
        request = self._pending.get(number) if isinstance(number, int) else None
        if request is None:
            return
        if frame.header.get("ok") is not True:
            self._fail(request, number, frame)
            return
        if request.on_answer is not None:
            request.on_answer(frame)
        if not request.future.done():
            request.future.set_result(frame)

    def _fail(self, request: _Request, number: int, frame: Frame) -> None:
        self._pending.pop(number, None)
        if not request.future.done():
            request.future.set_exception(_pod_error(frame.header.get("error")))
            request.future.exception()

    async def _write(self) -> None:
        while True:
            data = await self._outbox.get()
            while not self._outbox.empty() and len(data) < _CHUNK:
                data += self._outbox.get_nowait()
            await self._process.write(data)

    def _look_for_life(self) -> None:
        """Ping now and then, more often where nothing is heard, and give up when that lasts.

        Also where much is said: how long an answer takes is known by nothing else.
        """
        # Counted in ticks, not by the clock: a process that was stopped has not been listening.
        self._silent_s = self._silent_s + pulse.TICK_S if self._heard == self._heard_before else 0.0
        self._heard_before = self._heard
        if self._silent_s >= self._silence_s:
            self._lose(self._silent_for(self._silence_s))
        elif self._silent_s >= protocol.QUIET_S or time.monotonic() - self._pinged_at >= protocol.PING_S:
            self._ping()

    def probe(self, within: float) -> None:
        """Ask for a sign of life: the link is lost unless a byte comes `within` so many seconds."""
        seen = self._heard

        def look() -> None:
            if self._heard == seen:
                self._lose(self._silent_for(within))

        self._ping()
        asyncio.get_running_loop().call_later(within, look)

    def give_up(self, reason: str) -> None:
        """Lose the link for a reason that only this end knows."""
        self._lose(UnreachableError(f"the link to pod {self._pod} is lost: {reason}"))

    def _silent_for(self, seconds: float) -> UnreachableError:
        return UnreachableError(
            f"nothing was heard from pod {self._pod} for {seconds:g} s", "is the network up, and is the pod?"
        )

    def _ping(self) -> None:
        if self._lost.done() or len(self._pings) >= _MOST_PINGS:
            return
        number = next(self._ids)
        self._pings[number] = self._pinged_at = time.monotonic()
        self._send({"id": number, "op": "ping"})


def _again(reason: UnreachableError) -> UnreachableError:
    """A copy to raise: one exception object raised in several tasks would mix their tracebacks."""
    return type(reason)(reason.message, reason.hint, code=reason.error_code)


def _pod_error(error: object) -> PodopsError:
    """What a pod's `error` object means here, whatever its shape."""
    fields = error if isinstance(error, dict) else {}
    code, message, hint = (_text(fields.get(name)) for name in ("code", "message", "hint"))
    kind = _ERRORS.get(code, PodActionError)
    return kind(message or "the pod refused without saying why", hint, code=code or None)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(c for c in text[:_TEXT_LIMIT] if c.isprintable() or c in "\n\t")
