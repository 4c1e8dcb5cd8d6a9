"""Every pod's link at once, and the one place that holds what is known about them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from podops.config.model import ProjectConfig
from podops.fleet.snapshot import FleetSnapshot, LogChunk
from podops.plan import SubmitPlan


class LogStream(Protocol):
    """Chunks of one run's log as they are written; ends after the chunk with `eof`. Survives a reconnect."""

    def __aiter__(self) -> AsyncIterator[LogChunk]: ...

    def ack(self, offset: int) -> None:
        """Everything before `offset` has been shown; opens the window for more."""


class Fleet:
    """`async with Fleet(config) as fleet:` connects to every pod in parallel; leaving closes every link.

    Actions raise `PodopsError`s; one pod's failure never touches another.
    """

    def __init__(self, config: ProjectConfig, *, pods: Sequence[str] | None = None, connect_timeout: float = 15.0) -> None:
        """`pods` limits the fleet to these names. Raises `NotFoundError` for a name the config does not have."""

    async def __aenter__(self) -> Fleet: ...
    async def __aexit__(self, *exc: object) -> None: ...

    @property
    def snapshot(self) -> FleetSnapshot: ...

    def subscribe(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `callback(names of changed pods)` in the event loop after each change; returns the way to stop."""

    async def settled(self, timeout: float) -> None:
        """Return when each pod is live (with its full run list) or has failed once, or after `timeout` seconds."""

    def retry(self, pod: str) -> None:
        """Connect now instead of waiting for the back-off."""

    async def submit(self, plan: SubmitPlan, *, force: bool = False) -> dict[str, Any]:
        """The pod's answer to `submit`."""

    async def kill(self, pod: str, run_id: str, *, project: str = "", grace_s: float | None = None) -> dict[str, Any]: ...

    async def run_records(self, pod: str, run_id: str, *, project: str = "") -> dict[str, Any]:
        """The pod's answer to `run`."""

    async def read(self, pod: str, run_id: str, name: str, *, project: str = "", offset: int = 0, length: int = 65536) -> tuple[int, int, bytes]:
        """`(offset, size, data)` of one file of the run."""

    def follow(
        self, pod: str, run_id: str, *, project: str = "", tail_lines: int | None = None, tail_bytes: int | None = None,
        offset: int | None = None, window: int = 256 * 1024, lossless: bool = False,
    ) -> AbstractAsyncContextManager[LogStream]: ...
