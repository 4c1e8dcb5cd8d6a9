"""What a fleet tells its memory, and asks of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from podops.config.model import PodConfig
from podops.fleet import wire
from podops.fleet.memory import Memory, Recalled, RecalledLog
from podops.fleet.pod_link import PodLink
from podops.fleet.snapshot import LogChunk

#: So many pods are recalled at a time, so that the first are shown while others are still read.
_AT_ONCE = 20


class Noting:
    """`links` are those of the fleet by name, and change as pods come and go. Without a memory nothing happens."""

    def __init__(self, memory: Memory | None, links: Mapping[str, PodLink]) -> None:
        self._memory = memory
        self._links = links

    def pods(self, names: Iterable[str]) -> None:
        """These have changed."""
        for name in names if self._memory is not None else ():
            link = self._links.get(name)
            if link is not None and self._memory is not None and link.tells_itself:
                self._memory.note_pod(link.pod, link.snapshot)

    def log(self, pod: str, project: str, run_id: str, chunk: LogChunk) -> None:
        """This part of a log went by."""
        link = self._links.get(pod)
        if self._memory is not None and link is not None and not link.shared:
            self._memory.note_log(link.pod, project, run_id, chunk)

    def records(self, pod: str, project: str, run_id: str, records: Mapping[str, Any]) -> None:
        """The records of a run were read."""
        link, summary = self._links.get(pod), wire.mapping(records.get("summary"))
        if self._memory is not None and link is not None and summary and not link.shared:
            self._memory.note_summary(link.pod, project, run_id, summary)

    def attempts(self, pod: str, project: str, run_id: str, data: bytes) -> None:
        """The end of the record of a run's attempts was read."""
        link = self._links.get(pod)
        if self._memory is not None and link is not None and data and not link.shared:
            self._memory.note_attempts(link.pod, project, run_id, data)

    async def recall(self) -> None:
        """Show of each pod that has not told its runs yet what the memory has of it."""
        memory = self._memory
        if memory is None:
            return
        wanted = [link for link in self._links.values() if not link.snapshot.listed]
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            found = await asyncio.to_thread(_recalled, memory, [link.pod for link in some])
            for link, known in zip(some, found, strict=True):
                if known is not None and self._links.get(link.pod.name) is link:
                    link.known.recall(known)

    async def recall_log(self, pod: str, project: str, run_id: str) -> RecalledLog | None:
        """The end of a run's log as the memory has it."""
        link = self._links.get(pod)
        if self._memory is None or link is None:
            return None
        return await asyncio.to_thread(self._memory.recall_log, link.pod, project, run_id)


def _recalled(memory: Memory, pods: list[PodConfig]) -> list[Recalled | None]:
    return [memory.recall(pod) for pod in pods]
