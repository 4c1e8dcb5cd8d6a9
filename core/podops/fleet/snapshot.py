"""What is known about the fleet at one moment: immutable values, safe to hold, compare and draw.

Times are Unix seconds by the clock of the machine they come from; ages are seconds, computed where the file
is, at the moment the snapshot was received (`received_at`, this machine's `time.monotonic()`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from podops.fleet.moments import by_this_clock

#: How the loss of a run may be called, and how one begins that is not that of its training.
_LOSS = re.compile(r"^(?!best).*loss(?:_step|_epoch)?$")
_OF_VALIDATION = ("val", "eval", "test")

PodState = Literal["connecting", "live", "stale", "unreachable", "refused", "gone"]


@dataclass(frozen=True, slots=True)
class GpuProcess:
    pid: int
    memory_bytes: int | None
    name: str = ""
    #: The run of ours it belongs to.
    run_id: str | None = None
    #: False when the pod has no such process: NVML tells a container the numbers of its host.
    known: bool = True
    #: The MIG instance it runs on.
    gpu_instance: int | None = None


@dataclass(frozen=True, slots=True)
class MigInstance:
    """A part of a GPU; `gpu_instance` and `compute_instance` are NVIDIA's own numbers."""

    index: int
    uuid: str
    name: str = ""
    gpu_instance: int | None = None
    compute_instance: int | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU. A field is `None` when the card does not tell it, or when that one query failed (`cell_errors`)."""

    index: int
    uuid: str
    name: str
    utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    #: What is wrong with the card as a whole, in a few words; what it still tells stands beside it.
    error: str = ""
    processes: tuple[GpuProcess, ...] = ()
    #: The run of ours that claims this GPU.
    claimed_by: str | None = None
    #: The runs of ours that use it, and how that is known: by their `process`es, or by the `claim` alone.
    used_by: tuple[str, ...] = ()
    attributed: str | None = None
    #: How busy the memory controller was; not how full the memory is.
    memory_utilization_percent: float | None = None
    #: Where the card starts to slow down.
    temperature_limit_c: float | None = None
    clock_sm_mhz: int | None = None
    clock_memory_mhz: int | None = None
    clock_sm_max_mhz: int | None = None
    clock_memory_max_mhz: int | None = None
    #: Why the clocks are what they are: `idle`, `power cap`, `thermal slowdown`, …
    clock_reasons: tuple[str, ...] = ()
    #: Uncorrected memory errors since the driver was loaded, and over the card's life.
    ecc_volatile: int | None = None
    ecc_aggregate: int | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    #: As last read; each GPU has its turn, one a second.
    pcie_rx_bytes_per_s: int | None = None
    pcie_tx_bytes_per_s: int | None = None
    fan_percent: int | None = None
    mig_enabled: bool | None = None
    instances: tuple[MigInstance, ...] = ()
    #: Why single fields are `None`, by field.
    cell_errors: Mapping[str, str] = field(default_factory=dict)

    def is_free(self, busy_memory_bytes: int = 512 * 1024 * 1024) -> bool:
        """Not claimed by a run of ours, and not visibly in use by anybody."""
        used = self.memory_used_bytes
        return self.claimed_by is None and not self.error and used is not None and used < busy_memory_bytes


@dataclass(frozen=True, slots=True)
class GpuReport:
    """`source` is `nvml`, `nvidia-smi`, `simulated` or `none`; `message` says why there is none, or what is wrong."""

    source: str = "none"
    message: str = ""
    driver: str = ""
    gpus: tuple[GpuSample, ...] = ()
    #: The newest CUDA version this driver can run.
    cuda: str = ""
    #: How old the values are, seconds; more than 0 when the driver did not answer in time.
    age_s: float = 0.0

    @property
    def simulated(self) -> bool:
        return self.source == "simulated"

    @property
    def told(self) -> bool:
        """Whether it is known which GPUs there are: that there are none is told with why."""
        # `nvidia-smi` tells of itself before it has spoken.
        return bool(self.gpus or (self.message and self.source != "nvidia-smi"))


@dataclass(frozen=True, slots=True)
class DiskUsage:
    path: str
    used_bytes: int
    total_bytes: int
    read_only: bool = False
    #: Why there are no numbers: it is not there, or does not answer.
    error: str = ""


@dataclass(frozen=True, slots=True)
class HostSample:
    time: float
    #: Of `cpu_cores`: in a container with a quota its own use, else that of the cores it may run on.
    cpu_percent: float | None = None
    load1: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    disks: tuple[DiskUsage, ...] = ()
    cpu_cores: float | None = None
    #: `container` when a control group sets the limit, else `machine`.
    memory_scope: str = ""
    network_received_bytes_per_s: float | None = None
    network_sent_bytes_per_s: float | None = None

    @property
    def root_fault(self) -> str:
        """Which outputs root cannot be used, and why; empty when all can."""
        for disk in self.disks[1:]:  # the first is `/`, which runs need not write to
            if disk.error or disk.read_only:
                return f"{disk.path}: {disk.error or 'read-only'}"
        return ""


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
    #: Services: `loading`, `ready` or `unhealthy`; `retrying` between two attempts.
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
    #: How much of the log `max_log_size` has freed, bytes; told by `run status` alone.
    log_freed: int = 0
    step: int | None = None
    total_steps: int | None = None
    #: `total_steps` is that of a part of the run only: of an epoch, of an evaluation.
    total_is_part: bool = False
    #: The epoch it is in, and of how many where it tells that.
    epoch: int | None = None
    epochs: int | None = None
    #: Seconds to the last step at the pace so far; `None` where that cannot be told.
    left_s: float | None = None
    #: The last value of each, NaN and infinities too.
    metrics: Mapping[str, float] = field(default_factory=dict)
    exit_code: int | None = None
    signal: int | None = None
    stalled: bool = False
    #: The attempt that runs, or ran last; how many it may make; when the next one comes; why the one before ended.
    attempt: int = 1
    attempts_max: int = 1
    retry_in_s: float | None = None
    last_failure: str = ""
    #: In the queue: higher goes first; the runs it comes after; its place from 1 on (0: not known), and since when.
    priority: int = 0
    after: tuple[str, ...] = ()
    place: int = 0
    waits_s: float | None = None
    #: The GPUs it asks for, as a person types them: `2`, `all`, `0,1`; empty for none.
    asked_gpus: str = ""
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

    @property
    def share(self) -> float | None:
        """How much of the whole run is done; `None` where that cannot be told."""
        if self.step is None or not self.total_steps:
            return None
        share = self.step / self.total_steps
        if not self.total_is_part:
            return share
        if self.epoch is None or not self.epochs or not 1 <= self.epoch <= self.epochs:
            return None
        return (self.epoch - 1 + min(1.0, share)) / self.epochs

    @property
    def loss(self) -> float | None:
        """`loss` or `train_loss`, else the first metric that is named for a loss (`train_loss_step`, `train/loss`).

        One of a validation comes last.
        """
        names = [name for name in self.metrics if _LOSS.search(name.lower())]
        names.sort(key=lambda name: (name != "loss", name != "train_loss", name.lower().startswith(_OF_VALIDATION)))
        return self.metrics[names[0]] if names else None

    @property
    def waiting(self) -> bool:
        """Whether it is in the queue."""
        return self.state in ("queued", "held")

    @property
    def not_started(self) -> str:
        """That it waits and what for, in words that follow its name; empty for one that is not in the queue."""
        again = " again" if self.attempt > 1 else ""
        return f"has not started{again}: {self.told_detail or 'waits for its turn'}" if self.waiting else ""

    @property
    def told_detail(self) -> str:
        """`detail` as a person here reads it: moments by this machine's clock."""
        return by_this_clock(self.detail)


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
    #: Whether `runs` has ever been complete; before that, a run that is not in it may exist all the same.
    listed: bool = False
    #: Why the pod cannot list its runs now, so that `runs` may lack some.
    unlisted: str = ""
    #: Unix time at which `runs` was as it stands here, when it was recalled and the pod has not told it anew since.
    as_of: float | None = None
    tags: tuple[str, ...] = ()
    price_per_hour: float | None = None
    latency_s: float | None = None
    #: The pod source that told of it; empty for one of the project file.
    source: str = ""

    def gpus_of(self, run_id: str) -> tuple[GpuSample, ...]:
        """The GPUs a run claims or uses."""
        return tuple(gpu for gpu in self.gpus.gpus if run_id == gpu.claimed_by or run_id in gpu.used_by)


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """A pod source. Times are Unix seconds; while it fails, its pods are as its last answer had them."""

    name: str
    state: Literal["asking", "ok", "failed"] = "asking"
    asked_at: float | None = None
    answered_at: float | None = None
    problem: str = ""
    hint: str = ""
    #: When the first of the failures came that no answer has followed.
    failing_since: float | None = None
    #: What of its answer was left out, and why.
    notes: tuple[str, ...] = ()
    #: How many pods it told of, and which of them cannot be reached yet.
    pods: int = 0
    coming: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    pods: Mapping[str, PodSnapshot] = field(default_factory=dict)
    sources: tuple[SourceSnapshot, ...] = ()

    def told(self) -> FleetSnapshot:
        """Without the pods whose runs are only recalled."""
        return FleetSnapshot({name: pod for name, pod in self.pods.items() if pod.as_of is None})

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
class AttemptBegin:
    """An attempt after the first begins at `offset` of the log; `after` is the reason why the one before ended."""

    offset: int
    number: int
    after: str = ""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes `[offset, offset + len(data))` of a run's log.

    Before it `skipped` bytes were passed over, and `gap` bytes are gone for good: `max_log_size` freed them.
    """

    offset: int
    data: bytes
    skipped: int = 0
    #: The run has ended and this was its last byte.
    eof: bool = False
    gap: int = 0
    #: The attempt that begins with this chunk, or began in what was passed over.
    begin: AttemptBegin | None = None
    #: Another log begins, in place of the one before: the run was submitted anew, or its log cut off.
    anew: bool = False
    #: Why nothing of the log can be read from now on, though it may grow; empty: it can be again. `None` tells nothing.
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Bytes `[offset, offset + len(data))` of a log, and the attempts that begin in them.

    `gap` freed bytes lie behind them when they were read backwards, else before them. `size` is that of the log.
    """

    offset: int
    data: bytes
    gap: int = 0
    begins: tuple[AttemptBegin, ...] = ()
    size: int = 0
