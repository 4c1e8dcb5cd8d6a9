"""What a fleet asks of a memory that outlives it; `podops.history` has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from podops.config.model import PodConfig
from podops.fleet.snapshot import GpuReport, HostInfo, HostSample, LogChunk, PodSnapshot, RunSnapshot


@dataclass(frozen=True, slots=True)
class Recalled:
    """A pod as it was last seen, at `as_of` (Unix time by this machine's clock)."""

    as_of: float
    host: HostInfo
    sample: HostSample | None
    gpus: GpuReport
    runs: Mapping[str, RunSnapshot]

    def fills(self, seen: PodSnapshot) -> dict[str, Any]:
        """The fields of `seen` that the pod has not told itself."""
        return {
            "runs": self.runs,
            "as_of": self.as_of,
            "host": seen.host if seen.host.hostname else self.host,
            "sample": seen.sample or self.sample,
            "gpus": seen.gpus if seen.gpus.gpus else self.gpus,
            "last_seen": seen.last_seen or self.as_of,
        }


@dataclass(frozen=True, slots=True)
class RecalledLog:
    """The bytes of a log from `start` on, as they were at `as_of`; `complete` when they are its last for ever."""

    start: int
    data: bytes
    complete: bool
    as_of: float


class Memory(Protocol):
    """Every method returns at once but those that recall, which may read a disk; none of them raises."""

    def recall(self, pod: PodConfig) -> Recalled | None: ...

    def recall_log(self, pod: PodConfig, project: str, run_id: str) -> RecalledLog | None: ...

    def note_pod(self, pod: PodConfig, seen: PodSnapshot) -> None:
        """A live pod has told something new."""

    def note_log(self, pod: PodConfig, project: str, run_id: str, chunk: LogChunk) -> None:
        """Bytes of a run's log went by."""

    def note_summary(self, pod: PodConfig, project: str, run_id: str, summary: Mapping[str, Any]) -> None:
        """A run's record of its end was read."""

    def note_attempts(self, pod: PodConfig, project: str, run_id: str, data: bytes) -> None:
        """The end of a run's record of attempts was read."""
