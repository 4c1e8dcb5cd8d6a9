"""A recorded fleet that is busy: runs that wait, are tried again, stall, serve, failed and were lost."""

from __future__ import annotations

import time
from dataclasses import replace

from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import FleetSnapshot, GpuReport, GpuSample, HostInfo, HostSample, PodSnapshot, RunSnapshot
from tests.terminal.recorded_fleet import GIB, RecordedFleet, recorded

#: What the pod has recorded of the run `sweep-lr-3`: three attempts, and the evidence of the last one's end.
ATTEMPTS = b"".join(
    b'{"attempt": %d, "started": %d, "ended": %d, "state": "failed", "reason": "%s", "detail": "%s", '
    b'"exit_code": 1, "signal": null, "log_start": %d, "log_end": %d}\n' % row
    for row in (
        (1, 1767225600, 1767226200, b"nccl", b"NCCL timed out: Watchdog caught collective operation timeout", 0, 9000),
        (
            2,
            1767226240,
            1767226300,
            b"nccl",
            b"NCCL timed out: Watchdog caught collective operation timeout",
            9000,
            9900,
        ),
    )
)
SUMMARY = {
    "ok": False,
    "state": "failed",
    "reason": "oom_gpu",
    "evidence": {"source": "log", "offset": 81234,
                 "line": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB"},
    "traceback": {"file": "/root/work/train.py", "line": 212, "function": "step", "error": "torch.OutOfMemoryError",
                  "message": "CUDA out of memory. Tried to allocate 2.50 GiB"},
}  # fmt: skip


def recorded_busy() -> tuple[RecordedFleet, Fleet]:
    """The busy fleet, and itself typed as what the app takes."""
    fleet, typed = recorded(snapshot=busy())
    fleet.files["attempts.jsonl"] = ATTEMPTS
    fleet.summary = SUMMARY
    return fleet, typed


def busy() -> FleetSnapshot:
    runs = [
        _run("train-wide", "running", age=7400.0, step=1200, gpus=(0, 1, 2)),
        _run("train-stuck", "running", age=5400.0, step=40, stalled=True, log_age_s=1900.0, gpus=(3,)),
        _run("sweep-lr-2", "starting", age=700.0, phase="retrying", retry_in_s=40.0, attempts_max=3,
             last_failure="nccl"),
        _run("sweep-lr-1", "running", age=300.0, attempt=2, attempts_max=3, step=12),
        _run("serve-qwen", "running", age=86000.0, phase="ready", endpoint="http://127.0.0.1:8000"),
        _run("serve-new", "running", age=90.0, phase="loading", endpoint="http://127.0.0.1:8001"),
        _run("serve-ill", "running", age=9000.0, phase="unhealthy", endpoint="http://127.0.0.1:8002"),
        _run("sweep-lr-4", "queued", detail="waits for 4 GPUs: 0 of 4 free", place=1, waits_s=3700.0, priority=5,
             asked_gpus="4"),
        _run("sweep-lr-5", "queued", detail="waits for 1 GPU: 0 of 4 free", place=2, waits_s=3600.0, asked_gpus="1"),
        _run("eval-lr-4", "queued", detail="waits for run sweep-lr-4", place=3, waits_s=3500.0, after=("sweep-lr-4",)),
        _run("sweep-lr-6", "held", detail="waits for its release", waits_s=90.0, asked_gpus="all"),
        _run("sweep-lr-3", "failed", age=900.0, reason="oom_gpu", attempt=3, attempts_max=3, exit_code=1,
             detail="CUDA out of memory: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB"),
        _run("train-gone", "lost", age=500.0, reason="pod_lost", detail="its pod was rebooted while it ran"),
        _run("train-old", "succeeded", age=4000.0, reason="ok"),
    ]  # fmt: skip
    gpus = tuple(
        GpuSample(
            index, f"GPU-{index}", "NVIDIA H100 80GB HBM3", 97.0, 71 * GIB, 80 * GIB, 61.0, 612.0, 700.0,
            claimed_by="train-stuck" if index == 3 else "train-wide",
        )
        for index in range(4)
    )  # fmt: skip
    full = PodSnapshot(
        "h100-a", "live", "ssh", "h100-a", last_seen=time.time(), host=HostInfo("node-7"),
        sample=HostSample(time.time(), 41.0, 3.2, 200 * GIB, 512 * GIB),
        gpus=GpuReport("nvml", driver="570.1", gpus=gpus), runs={run.run_id: run for run in runs},
    )  # fmt: skip
    free = tuple(replace(gpu, memory_used_bytes=0, claimed_by=None) for gpu in gpus)
    empty = replace(
        full, name="h100-b", address="h100-b", host=HostInfo("node-8"), runs={}, gpus=GpuReport("nvml", gpus=free)
    )
    cpu = PodSnapshot("cpu-1", "live", "ssh", "cpu-1", gpus=GpuReport(message="no NVIDIA driver"))
    return FleetSnapshot({pod.name: pod for pod in (full, empty, cpu)})


def _run(name: str, state: str, *, age: float = 0.0, **fields: object) -> RunSnapshot:
    run = RunSnapshot(
        name, "h100-a", state, project="proj", preset="train-small", kind="command",
        created_at=1767225600.0 - age, elapsed_s=age or None, session=f"run_{name}",
        command="python train.py --lr 0.001", run_dir=f"/data/outputs/{name}", heartbeat_age_s=2.0, log_age_s=1.0,
        log_bytes=81920, received_at=time.monotonic(),
    )  # fmt: skip
    step = fields.get("step")
    numbers = {"total_steps": 5000, "metrics": {"loss": 0.5234, "lr": 0.001}} if step else {}
    if isinstance(step, int):
        numbers["left_s"] = (5000 - step) * age / step
    return replace(run, **numbers, **fields)  # type: ignore[arg-type]
