"""Asking pod sources now and then, each by itself: a slow one delays no other, and a broken one changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from podops.config.model import PodSource, ProjectConfig
from podops.errors import SourceError
from podops.fleet.snapshot import SourceSnapshot
from podops.sources.answers import SourceAnswer, keep, recall, stamp
from podops.sources.ask import ask

#: How soon what another `ops` process was told is taken over, seconds.
_LOOK_S = 2.0


class SourceWatch:
    """Keeps `answers` true while `run` runs; `told` is called after each answer and each failure."""

    def __init__(self, config: ProjectConfig, told: Callable[[], None], age: float = 0.0) -> None:
        """An answer younger than `age`, in seconds, is new enough."""
        self._age = age
        self._config = config
        self._told = told
        self._stamp = stamp(config)
        self._asking: set[str] = set()
        self._missing = {source.name for source in config.pod_sources}
        self.answers = {source.name: SourceAnswer(source.name) for source in config.pod_sources} | recall(config)
        #: Set once each source has answered or failed, or was asked not long ago.
        self.settled = asyncio.Event()

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for source in self._config.pod_sources:
                group.create_task(self._keep_asking(source), name=f"podops-source-{source.name}")

    def states(self, left_out: dict[str, str]) -> tuple[SourceSnapshot, ...]:
        """Each source as it stands; `left_out` says which of its pods do not count, and why."""
        return tuple(self._state(source, left_out) for source in self._config.pod_sources)

    def _state(self, source: PodSource, left_out: dict[str, str]) -> SourceSnapshot:
        answer = self.answers[source.name]
        own = [text for key, text in left_out.items() if key.startswith(f"{source.name}/")]
        asking = answer.answered_at is None or source.name in self._asking
        return SourceSnapshot(
            name=source.name,
            state="failed" if answer.problem else "asking" if asking else "ok",
            asked_at=answer.asked_at or None,
            answered_at=answer.answered_at,
            problem=answer.problem,
            hint=answer.hint,
            failing_since=answer.failing_since,
            notes=(*answer.notes, *own),
            pods=sum(pod.gone_since is None for pod in answer.pods),
            coming=answer.coming,
        )

    async def _keep_asking(self, source: PodSource) -> None:
        while True:
            self._look()
            began = time.monotonic()
            if self.answers[source.name].due(source, time.time(), self._age):
                await self._ask(source)
            took = time.monotonic() - began
            self._missing.discard(source.name)
            if not self._missing:
                self.settled.set()
            # A provider that takes longer than its interval is left alone for as long.
            await asyncio.sleep(max(_LOOK_S, took))

    def _look(self) -> None:
        """Take over what another process was told meanwhile."""
        now = stamp(self._config)
        if now == self._stamp:
            return
        self._stamp = now
        for name, answer in recall(self._config).items():
            if answer.asked_at > self.answers[name].asked_at:
                self._take(answer)

    async def _ask(self, source: PodSource) -> None:
        self._asking.add(source.name)
        self._told()
        # What is told is as old as the question: an answer that comes late replaces no newer one.
        asked = time.time()
        answer = self.answers[source.name]
        try:
            answer = answer.after(await ask(source), source, asked)
        except SourceError as error:
            answer = answer.after_failure(error, asked)
        except Exception as error:
            fault = SourceError(f"asking {source.name} failed: {type(error).__name__}: {error}")
            answer = answer.after_failure(fault, asked)
        finally:
            self._asking.discard(source.name)
        self._look()
        if self.answers[source.name].asked_at <= asked:
            self._take(answer)
            await asyncio.to_thread(keep, self._config, {source.name: answer})
        else:
            self._told()

    def _take(self, answer: SourceAnswer) -> None:
        self.answers[answer.name] = replace(answer)
        self._told()
