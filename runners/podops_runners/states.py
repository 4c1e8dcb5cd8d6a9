"""The states of a run and the reasons it can end with."""

QUEUED = "queued"
HELD = "held"
STARTING = "starting"
RUNNING = "running"
STOPPING = "stopping"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
LOST = "lost"

STATES = (QUEUED, HELD, STARTING, RUNNING, STOPPING, SUCCEEDED, FAILED, CANCELLED, LOST)

#: States a run never leaves (`lost` is derived: a late `summary.json` still wins over it).
ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED})

#: States in which a run may own processes on its pod.
ACTIVE = frozenset({STARTING, RUNNING, STOPPING})

#: What a held run waits for, in the words of the queue.
AWAITS_RELEASE = "waits for its release"

REASONS = (
    "ok",
    "nonzero_exit",
    "signal",
    "oom_host",
    "oom_gpu",
    "disk_full",
    "timeout",
    "stalled",
    "user_kill",
    "preempted",
    "pod_lost",
    "setup_failed",
    "dependency_failed",
    "data_missing",
    "auth",
    "nccl",
    "gpu_fault",
    "nan_loss",
    "import_error",
    "address_in_use",
    "unhealthy",
    "log_limit",
    "spawn_failed",
    "unknown",
)
