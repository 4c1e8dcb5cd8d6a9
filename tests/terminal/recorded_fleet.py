"""A recorded fleet: fixed snapshots and one fixed log. Nothing here talks to a pod."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

from podops.config.model import PodConfig, PresetConfig, ProjectConfig
from podops.errors import NotFoundError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import (
    FleetSnapshot,
    GpuReport,
    GpuSample,
    HostInfo,
    HostSample,
    LogChunk,
    PodSnapshot,
    RunSnapshot,
)

GIB = 1024**3

CONFIG = ProjectConfig(
    name="proj",
    outputs_dir="/data/outputs",
    pods={name: PodConfig(name, ssh=name, outputs_dir="/data/outputs") for name in ("h100-a", "h100-b", "cpu-1")},
    presets={
        "train-small": PresetConfig(
            "train-small", "command", command="python train.py {overrides}", overrides={"lr": 0.001, "max_iters": 5000}
        )
    },
)

#: What the pod has recorded of the run `train-small-20260101-aaaa`.
SPEC = {
    "overrides": {"given": {"lr": "0.01", "note": "two words"}, "parsed": {"lr": 0.01, "note": "two words"}},
    "gpus": {"count": 1, "indices": [0]},
    "tags": ["nightly"],
    "policies": {"timeout_s": 3600.0},
}
FILES = {
    "metrics.jsonl": b"".join(
        b'{"step": %d, "time": 1.5, "loss": %.3f, "lr": 0.001}\n' % (step * 10, 4 / (1 + step / 20))
        for step in range(120)
    ),
    "events.jsonl": b'{"time": 1767225600.0, "event": "submitted", "by": "me"}\n'
    b'{"time": 1767225603.5, "event": "started", "pid": 4242}\n',
    "config_effective.json": b'{"schema": 1, "config": "train.py", "overrides": {"parsed": {"lr": 0.01}}}',
    "command.sh": b"#!/bin/bash\npython train.py lr=0.01\n",
}

LOG = b"epoch 1\nloss \x1b[31m0.52\x1b[0m [bold]not markup[/bold]\n  1%|\r 99%|\rdone\n"


class RecordedLog:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.acked = 0

    async def __aiter__(self) -> AsyncIterator[LogChunk]:
        yield LogChunk(0, self._data)
        await asyncio.Event().wait()

    def offer(self, take: Callable[[LogChunk], bool]) -> None: ...

    def ack(self, offset: int) -> None:
        self.acked = offset


class RecordedFleet:
    """Stands in for a `Fleet`: the recorded snapshots, and a note of every action."""

    def __init__(self, snapshot: FleetSnapshot, log: bytes = LOG) -> None:
        self.snapshot = snapshot
        self.log = log
        self.files = dict(FILES)
        self.summary: dict[str, Any] | None = None
        self.done: list[tuple[Any, ...]] = []
        #: What was submitted, and what is answered to it.
        self.specs: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {}
        #: The pods in view, and how somebody looks at them.
        self.attended: tuple[set[str], str] = (set(), "")

    def attend(self, in_view: Collection[str], attention: str) -> None:
        self.attended = (set(in_view), attention)

    async def __aenter__(self) -> RecordedFleet:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    def subscribe(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        return lambda: None

    def retry(self, pod: str) -> None:
        self.done.append(("retry", pod))

    async def submit(self, plan: Any, *, force: bool = False, request_id: str = "") -> dict[str, Any]:
        self.done.append(("submit", plan.preset, plan.pod, plan.command, plan.run_id, force))
        self.specs.append(plan.spec)
        return self.answer

    async def run_records(self, pod: str, run_id: str, *, project: str = "") -> dict[str, Any]:
        return {"spec": SPEC, "metadata": {"git": {"commit": "0123abc"}}, "summary": self.summary}

    async def read(
        self, pod: str, run_id: str, name: str, *, project: str = "", offset: int = 0, length: int = 65536
    ) -> tuple[int, int, bytes]:
        if name not in self.files:
            raise NotFoundError(f"run {run_id} has no {name} yet")
        data = self.files[name]
        start = max(0, len(data) + offset) if offset < 0 else offset
        return start, len(data), data[start : start + length]

    async def recall_log(self, pod: str, run_id: str, *, project: str = "") -> None:
        return None

    async def kill(self, pod: str, run_id: str, *, project: str = "") -> dict[str, Any]:
        self.done.append(("kill", pod, run_id, project))
        return {}

    async def queue(
        self, pod: str, run_id: str, action: str, *, project: str = "", value: object = None
    ) -> dict[str, Any]:
        self.done.append((action, pod, run_id) if value is None else (action, pod, run_id, value))
        return {}

    @asynccontextmanager
    async def follow(self, pod: str, run_id: str, **start: Any) -> AsyncIterator[RecordedLog]:
        yield RecordedLog(self.log)


def recorded(log: bytes = LOG, snapshot: FleetSnapshot | None = None) -> tuple[RecordedFleet, Fleet]:
    """The recorded fleet, and itself typed as what the app takes."""
    fleet = RecordedFleet(_snapshot() if snapshot is None else snapshot, log)
    return fleet, cast(Fleet, fleet)


def _snapshot() -> FleetSnapshot:
    runs = {
        "train-small-20260101-aaaa": _run("train-small-20260101-aaaa", "running", step=1200, gpus=(0,), age=3.0),
        "train-small-20260101-dddd": _run("train-small-20260101-dddd", "running", step=40, age=60.0),
        "eval-big-20260101-bbbb": _run("eval-big-20260101-bbbb", "failed", reason="oom_gpu", age=900.0),
        "train-small-20260101-cccc": _run("train-small-20260101-cccc", "succeeded", reason="ok", age=4000.0),
    }
    gpus = tuple(
        GpuSample(
            index, f"GPU-{index}", "NVIDIA H100 80GB HBM3", 97.0 - 96 * index, (71 - 70 * index) * GIB // 2,
            80 * GIB, 61.0, 612.0, 700.0, claimed_by="train-small-20260101-aaaa" if index == 0 else None,
        )
        for index in range(2)
    )  # fmt: skip
    live = PodSnapshot(
        "h100-a", "live", "ssh", "h100-a", last_seen=time.time(), host=HostInfo("node-7"),
        sample=HostSample(time.time(), 41.0, 3.2, 200 * GIB, 512 * GIB),
        gpus=GpuReport("nvml", driver="570.1", gpus=gpus), runs=runs,
    )  # fmt: skip
    down = PodSnapshot(
        "h100-b", "unreachable", "ssh", "h100-b", reason="connection timed out", hint="is the pod still rented?",
        last_seen=time.time() - 600, retry_at=time.time() + 20,
    )  # fmt: skip
    cpu = PodSnapshot("cpu-1", "live", "ssh", "cpu-1", gpus=GpuReport(message="no NVIDIA driver"))
    return FleetSnapshot({pod.name: pod for pod in (live, down, cpu)})


def _run(
    run_id: str, state: str, *, age: float, reason: str | None = None, step: int | None = None,
    gpus: tuple[int, ...] = (),
) -> RunSnapshot:  # fmt: skip
    return RunSnapshot(
        run_id, "h100-a", state, project="proj", preset=run_id.rsplit("-", 2)[0], kind="command", reason=reason,
        created_at=1767225600.0 - age, elapsed_s=age, session=f"run_{run_id}", command="python train.py --lr 0.001",
        run_dir=f"/data/outputs/{run_id}", gpus=gpus, heartbeat_age_s=2.0, log_age_s=1.0, log_bytes=81920,
        heartbeat_line="step 1200 loss 0.52", step=step, total_steps=5000 if step else None,
        left_s=(5000 - step) * age / step if step else None,
        metrics={"loss": 0.5234, "lr": 0.001} if step else {}, received_at=time.monotonic(),
    )  # fmt: skip
