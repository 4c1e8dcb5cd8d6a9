"""What the app does beside showing: it remembers what it saw, and lets commands use its links."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Sequence

from podops.config.model import ProjectConfig
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import SourceSnapshot
from podops.history.collect import ends_collected
from podops.history.keep import history_of
from podops.sharing.holder import HeldElsewhere, Holder

#: How long the first picture may wait for what is remembered, seconds.
_MOMENT_S = 0.3

#: How soon the links are shared after another process that shared its own has ended, seconds.
_AGAIN_S = 5.0


class Keeping:
    """From `start` to `stop`."""

    def __init__(self, config: ProjectConfig, share: bool = True) -> None:
        """Without `share` no command can use the app's links."""
        #: What a person should know, oldest first; filled from any thread.
        self.told: deque[str] = deque(maxlen=20)
        self.history = history_of(config, os.environ, self.told.append)
        self._config = config
        self._shares = share
        self._tasks: list[asyncio.Task[None]] = []
        self._failing: frozenset[str] = frozenset()

    async def recall(self, fleet: Fleet) -> None:
        """Let the fleet show what is remembered; what takes longer than a moment goes on meanwhile."""
        recalling = asyncio.create_task(fleet.recall())
        self._tasks.append(recalling)
        await asyncio.wait([recalling], timeout=_MOMENT_S)

    def start(self, fleet: Fleet) -> None:
        self._tasks.append(asyncio.create_task(_collect(fleet)))
        fleet.subscribe(lambda _: self._sources_changed(fleet.snapshot.sources))
        if self._shares:
            self._tasks.append(asyncio.create_task(self._share(fleet)))

    async def stop(self) -> None:
        """Before the fleet ends: whoever uses its links goes on with links of its own."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """After the fleet has ended: everything it told is written."""
        if self.history is not None:
            await asyncio.to_thread(self.history.close)

    def _sources_changed(self, sources: Sequence[SourceSnapshot]) -> None:
        """Tell at once, wherever in the app somebody is, of a source that begins to fail."""
        failing = {source.name: source.problem for source in sources if source.problem}
        for name in failing.keys() - self._failing:
            self.told.append(f"source {name}: {failing[name]}")
        self._failing = frozenset(failing)

    async def _share(self, fleet: Fleet) -> None:
        """Share the links for as long as nobody else does; where there is no place for a socket, do without."""
        with contextlib.suppress(OSError):
            holder = Holder(fleet, self._config, os.environ, "the app")
            while True:
                try:
                    await holder.start()
                    break
                except HeldElsewhere:
                    await asyncio.sleep(_AGAIN_S)
            try:
                await asyncio.Event().wait()
            finally:
                await holder.stop()


async def _collect(fleet: Fleet) -> None:
    async with ends_collected(fleet):
        await asyncio.Event().wait()
