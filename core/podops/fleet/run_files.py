"""What a fleet can do with the files of a run: read them by range, follow a log, search it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol

from podops.fleet import wire
from podops.fleet.log_search import LogQuery, SearchStep, search_steps
from podops.fleet.log_stream import FollowRequest, followed
from podops.fleet.noting import Noting
from podops.fleet.pod_link import PodLink
from podops.fleet.snapshot import LogChunk, LogPiece
from podops.link.client import REQUEST_S
from podops_runners.frames import Frame
from podops_runners.rundir import ATTEMPTS

#: What `follow` starts with when not told otherwise, bytes from the end.
_TAIL_BYTES = 64 * 1024


class LogStream(Protocol):
    """Chunks of one run's log as they are written; ends after the chunk with `eof`. Survives a reconnect."""

    @property
    def size(self) -> int:
        """How long the log was when it was asked for, bytes."""
        ...

    def __aiter__(self) -> AsyncIterator[LogChunk]: ...

    def offer(self, take: Callable[[LogChunk], bool]) -> None:
        """Call `take` with each chunk the moment it comes, unless others wait; what it refuses waits to be iterated."""

    def ack(self, offset: int) -> None:
        """Everything before `offset` has been shown; opens the window for more."""


class RunFiles:
    """The part of a `Fleet` that concerns them. Each raises `PodopsError`."""

    _ask: Callable[..., Coroutine[Any, Any, Frame]]
    _patience: Callable[[float], float]
    _noting: Noting

    def link(self, pod: str) -> PodLink:
        """The link of one pod. Raises `NotFoundError`."""
        raise NotImplementedError

    def _project(self, project: str) -> str:
        raise NotImplementedError

    async def read(
        self, pod: str, run_id: str, name: str, *, project: str = "", offset: int = 0, length: int = 65536
    ) -> tuple[int, int, bytes]:
        """`(offset, size, data)` of one file of the run."""
        fields: dict[str, Any] = {"run_id": run_id, "project": self._project(project), "name": name}
        answer = await self._ask(pod, "read", offset=offset, length=length, **fields)
        start, size = wire.count(answer.header.get("offset")), wire.count(answer.header.get("size"))
        if name == "stdout.log" and answer.payload and start + len(answer.payload) >= size:
            self._noting.log(pod, self._project(project), run_id, LogChunk(start, answer.payload))
        elif name == ATTEMPTS and start + len(answer.payload) >= size:
            self._noting.attempts(pod, self._project(project), run_id, answer.payload)
        return start, size, answer.payload

    async def read_log_before(
        self, pod: str, run_id: str, before: int, *, project: str = "", length: int = 65536
    ) -> LogPiece:
        """What stands before the byte `before` of `stdout.log`, at most `length` bytes; freed bytes are passed over."""
        return await self._log_piece(pod, run_id, project, before=before, length=length)

    async def read_log_from(
        self, pod: str, run_id: str, offset: int, *, project: str = "", length: int = 65536
    ) -> LogPiece:
        """What stands at the byte `offset` of `stdout.log` and behind it, likewise."""
        return await self._log_piece(pod, run_id, project, offset=offset, length=length)

    async def _log_piece(self, pod: str, run_id: str, project: str, **place: Any) -> LogPiece:
        fields: dict[str, Any] = {"run_id": run_id, "project": self._project(project), "name": "stdout.log"}
        answer = await self._ask(pod, "read", **place, **fields)
        return wire.log_piece(answer.header, answer.payload)

    def search(self, pod: str, run_id: str, query: LogQuery, *, project: str = "") -> AsyncGenerator[SearchStep]:
        """Search `stdout.log` on the pod; what is found and how far it has come, bit by bit.

        Nothing goes on for whoever asks for no more. A link that is lost meanwhile is waited for.
        """
        fields: dict[str, Any] = {"run_id": run_id, "project": self._project(project)}
        return search_steps(partial(self._ask, pod, "search", again=True, **fields), query)

    def follow(
        self,
        pod: str,
        run_id: str,
        *,
        project: str = "",
        tail_lines: int | None = None,
        tail_bytes: int | None = None,
        offset: int | None = None,
        within: tuple[int, int] | None = None,
        window: int = 256 * 1024,
        lossless: bool = False,
    ) -> AbstractAsyncContextManager[LogStream]:
        """Stream `stdout.log` from `offset`, or from the last lines or bytes (64 KiB when none is given).

        With `within` the last ones of that range; the stream goes on after its end.
        """
        start: dict[str, int | list[int]]
        if offset is not None:
            start = {"offset": offset}
        elif tail_lines is not None:
            start = {"tail_lines": tail_lines}
        else:
            start = {"tail_bytes": _TAIL_BYTES if tail_bytes is None else tail_bytes}
        if within is not None:
            start["within"] = list(within)
        request = FollowRequest(run_id, self._project(project), start, window, lossless, self._patience(REQUEST_S))
        return followed(self.link(pod), request, partial(self._noting.log, pod, request.project, run_id))
