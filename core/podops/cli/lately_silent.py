"""Pods that have just kept silent for all the time a command gave them.

One that only lists, for a person at a terminal, goes on without them after a moment, and says so. Nothing else does:
a pod that is merely slow is waited for, and a script hears the same whatever was before it.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from podops.cli.output import ago, say
from podops.config.identity import pod_identity
from podops.state_dir import private_directory, state_dir, write_whole

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.fleet import Fleet

#: Whoever kept silent for less says nothing by it; how long it counts; what is given to such a pod then; seconds.
_WHOLE_S, _LATELY_S, _MOMENT_S = 10.0, 600.0, 3.0

#: A pod that has not answered so short before the end of the time has not answered in it, seconds.
_BEFORE_END_S = 0.5


class LatelySilent:
    """What is noted of the pods of the project that `key` stands for; nothing without a key."""

    def __init__(self, key: str | None, config: ProjectConfig, environ: Mapping[str, str]) -> None:
        self._file = None if key is None else state_dir(environ) / "silent" / f"{key}.json"
        self._identities = {name: pod_identity(pod) for name, pod in config.pods.items()}
        self._at = self._read()

    def names(self) -> frozenset[str]:
        return frozenset(name for name, identity in self._identities.items() if identity in self._at)

    async def others_told(self, fleet: Fleet) -> None:
        """Return when these have had their moment, and every other pod has told or failed."""
        await asyncio.sleep(_MOMENT_S)
        lately = self.names()

        def told() -> bool:
            asking = any(source.state == "asking" for source in fleet.snapshot.sources)
            return not asking and lately.issuperset(fleet.unsettled())

        await fleet.until(told, math.inf)
        left = fleet.unsettled()
        if left:
            since = ago(min(self._at[self._identities[name]] for name in left))
            say(f"not waited for {', '.join(left)}, silent {since}; `--timeout` waits")

    @contextmanager
    def noted(self, fleet: Fleet, seconds: float) -> Iterator[None]:
        """Note who is silent for so many `seconds`, and who is no longer. Never raises for it."""
        silent: set[str] = set()

        async def look() -> None:
            await asyncio.sleep(seconds - _BEFORE_END_S)
            if not fleet.waits_for_a_person():
                silent.update(fleet.unsettled())

        looking = asyncio.create_task(look()) if seconds >= _WHOLE_S else None
        try:
            yield
        finally:
            if looking is not None:
                looking.cancel()
        states = {name: pod.state for name, pod in fleet.snapshot.pods.items() if name in self._identities}
        live = {self._identities[name] for name, state in states.items() if state == "live"}
        now = {
            self._identities[name]: time.time() for name in silent if states.get(name) in ("connecting", "unreachable")
        }
        kept = {identity: at for identity, at in (self._at | now).items() if identity not in live}
        if kept != self._at:
            self._write(kept)

    def _read(self) -> dict[str, float]:
        try:
            noted = {} if self._file is None else json.loads(self._file.read_bytes())
            now = time.time()
            return {str(pod): float(at) for pod, at in noted.items() if 0 <= now - float(at) < _LATELY_S}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, noted: Mapping[str, float]) -> None:
        if self._file is None:
            return
        try:
            if noted:
                private_directory(self._file.parent)
                write_whole(self._file, json.dumps(noted).encode())
            else:
                self._file.unlink(missing_ok=True)
        except OSError:
            return
