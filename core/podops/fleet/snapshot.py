"""What is known about the fleet at one moment: immutable values, safe to hold, compare and draw.

Times are Unix seconds by the clock of the machine they come from; ages are seconds, computed where the file
is, at the moment the snapshot was received (`received_at`, this machine's `time.monotonic()`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PodState = Literal["connecting", "live", "stale", "unreachable", "refused", "gone"]


@dataclass(frozen=True, slots=True)
class GpuProcess:
    pid: int
    memory_bytes: int | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU. A field is `None` when that one query failed; `error` says why, in a few words."""

    index: int
    uuid: str
    name: str
    utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    error: str = ""
    processes: tuple[GpuProcess, ...] = ()
    #: The run of ours that claims this GPU.
    claimed_by: str | None = None

    def is_free(self, busy_memory_bytes: int = 512 * 1024 * 1024) -> bool:
        """Not claimed by a run of ours, and not visibly in use by anybody."""
        used = self.memory_used_bytes
        return self.claimed_by is None and not self.error and used is not None and used < busy_memory_bytes


@dataclass(frozen=True, slots=True)
class GpuReport:
    """`source` is `nvml`, `nvidia-smi`, `simulated` or `none`; `message` says why there is none."""

    source: str = "none"
    message: str = ""
    driver: str = ""
    gpus: tuple[GpuSample, ...] = ()

    @property
    def simulated(self) -> bool:
        return self.source == "simulated"


@dataclass(frozen=True, slots=True)
class DiskUsage:
    path: str
    used_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class HostSample:
    time: float
    cpu_percent: float | None = None
    load1: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    disks: tuple[DiskUsage, ...] = ()


@dataclass(frozen=True, slots=True)
class HostInfo:
    """Facts of a pod that do not change while it is up."""

    hostname: str = ""
    os: str = ""
    python: str = ""
    tmux: str | None = None
    user: str = ""
    cpu_count: int = 0
    boot_id: str = ""
    machine_id: str = ""


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    run_id: str
    pod: str
    state: str
    project: str = ""
    preset: str = ""
    kind: str = ""
    reason: str | None = None
    #: The evidence for the reason, for a person.
    detail: str = ""
    #: Services: `loading` or `ready`.
    phase: str = ""
    endpoint: str = ""
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    elapsed_s: float | None = None
    run_dir: str = ""
    session: str | None = None
    command: str = ""
    gpus: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    heartbeat_time: float | None = None
    heartbeat_age_s: float | None = None
    heartbeat_line: str = ""
    log_bytes: int = 0
    log_age_s: float | None = None
    step: int | None = None
    total_steps: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    exit_code: int | None = None
    signal: int | None = None
    stalled: bool = False
    attempt: int = 1
    user: str = ""
    tracking: Mapping[str, str] = field(default_factory=dict)
    #: What is wrong with its directory, in words (a truncated summary, a missing required file).
    problems: tuple[str, ...] = ()
    #: False when another pod on the same volume started it: shown, never acted on.
    owned: bool = True
    received_at: float = 0.0

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class PodSnapshot:
    name: str
    state: PodState
    transport: str
    address: str
    #: Why it is not live, in one line, and what to do about it.
    reason: str = ""
    hint: str = ""
    #: Unix time of the last good data; `None` when there never was any.
    last_seen: float | None = None
    #: Unix time of the next attempt to connect.
    retry_at: float | None = None
    #: Unix time it has been in `state` since.
    since: float = 0.0
    host: HostInfo = HostInfo()
    sample: HostSample | None = None
    gpus: GpuReport = GpuReport()
    runs: Mapping[str, RunSnapshot] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    price_per_hour: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    pods: Mapping[str, PodSnapshot] = field(default_factory=dict)

    def runs(self) -> list[RunSnapshot]:
        """Every run once, newest first. A run on a shared volume is taken from the pod that owns it."""
        chosen: dict[tuple[str, str], RunSnapshot] = {}
        for pod in self.pods.values():
            for run in pod.runs.values():
                key = (run.project, run.run_id)
                if key not in chosen or (run.owned and not chosen[key].owned):
                    chosen[key] = run
        return sorted(chosen.values(), key=lambda run: (run.created_at or 0.0, run.run_id), reverse=True)


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes `[offset, offset + len(data))` of a run's log. `skipped` bytes before it were passed over."""

    offset: int
    data: bytes
    skipped: int = 0
    #: The run has ended and this was its last byte.
    eof: bool = False
