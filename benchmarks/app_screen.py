"""The app on the terminal it is started on, looking at a fleet that exists in this process alone.

`python -m benchmarks.app_screen SECONDS FILE` measures itself for so long, writes to the file what it found, and ends.
Ten pods say what busy pods say, through the code that reads a link: once a second a sample of eight GPUs, and every
running run with a new step and loss; one log grows by twenty lines a second.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.lateness import lateness
from podops.config.model import PodConfig, ProjectConfig
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import LogChunk
from podops_runners.frames import Frame
from podops_tui.app import OpsApp

PODS, RUNS, RUNNING, WAITING = 10, 100, 10, 10

#: Before the measuring begins, seconds.
_SETTLE_S = 3.0


class BusyFleet(Fleet):
    """Its links are told frames instead of being connected."""

    async def __aenter__(self) -> BusyFleet:
        for link in self._links.values():
            name = link.snapshot.name
            runs = [_run(name, number, 1) for number in range(RUNS)]
            link._take_push(Frame({"push": "runs", "full": True, "changed": runs}, b""))
            link.known.set(state="live")
        self._feeding = asyncio.create_task(self._feed())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._feeding.cancel()

    @asynccontextmanager
    async def follow(self, *run: Any, **start: Any) -> AsyncIterator[_GrowingLog]:
        yield _GrowingLog()

    async def _feed(self) -> None:
        tick = 1
        while True:
            tick += 1
            for link in self._links.values():
                name = link.snapshot.name
                changed = [_run(name, number, tick) for number in range(RUNNING)]
                link._take_push(Frame(_sample(), b""))
                link._take_push(Frame({"push": "runs", "full": False, "changed": changed}, b""))
                await asyncio.sleep(1.0 / PODS)


class _GrowingLog:
    size = 0

    async def __aiter__(self) -> AsyncIterator[LogChunk]:
        offset = 0
        while True:
            data = b"".join(b"iter %d: loss 0.1234, time 12ms, mfu 43%%\n" % (offset + line) for line in range(4))
            yield LogChunk(offset, data)
            offset += len(data)
            await asyncio.sleep(0.2)

    def offer(self, take: Callable[[LogChunk], bool]) -> None: ...

    def ack(self, offset: int) -> None: ...


def _run(pod: str, number: int, tick: int) -> dict[str, Any]:
    states = ("running", "queued", "succeeded", "failed")
    state = states[0 if number < RUNNING else 1 if number < RUNNING + WAITING else 2 + number % 2]
    run: dict[str, Any] = {
        "run_id": f"{pod}-train-20261121-{number:04}",
        "project": "bench",
        "state": state,
        "preset": "train",
        "kind": "train",
        "created_at": 1.7e9 + number,
        "run_dir": "/mnt/runs/bench/x",
        "session": "run-x",
        "command": "python train.py --lr 0.001",
    }
    if state == "running":
        run |= {"elapsed_s": 10.0 + tick, "step": tick, "total_steps": 5000, "metrics": {"loss": 1 / tick, "lr": 1e-3}}
        run |= {"gpus": [number % 8], "heartbeat_line": f"running step={tick}", "log_bytes": 1000 * tick}
        run |= {"heartbeat_age_s": 1.0, "log_age_s": 0.1, "left_s": 5000.0 - tick}
    elif state == "queued":
        run |= {"place": number - RUNNING + 1, "waits_s": 60.0, "detail": "waits for 4 GPUs: 0 of 8 free"}
    elif state == "failed":
        run |= {"reason": "oom_gpu", "detail": "CUDA out of memory. Tried to allocate 2.50 GiB"}
    return run


def _sample() -> dict[str, Any]:
    gpus = [
        {
            "index": index,
            "uuid": f"GPU-{index}",
            "name": "NVIDIA H100 80GB HBM3",
            "utilization_percent": 100 * random.random(),
            "memory_used_bytes": 70 * 2**30,
            "memory_total_bytes": 80 * 2**30,
            "temperature_c": 60 + 5 * random.random(),
            "power_w": 600 + 50 * random.random(),
        }
        for index in range(8)
    ]
    host = {"time": time.time(), "cpu_percent": 100 * random.random(), "load1": 1.0}
    return {"push": "sample", "host": host, "gpus": {"source": "nvml", "driver": "570", "gpus": gpus}}


async def measure(app: OpsApp, seconds: float, found: Path) -> None:
    """CPU in % of a core, how late the event loop is in ms, and what is written to the terminal in bytes a second."""
    await asyncio.sleep(_SETTLE_S)
    driver = app._driver
    assert driver is not None
    write, written = driver.write, 0

    def counted(data: str) -> None:
        nonlocal written
        written += len(data.encode())
        write(data)

    driver.write = counted  # type: ignore[method-assign]
    begun, spent = time.perf_counter(), time.process_time()
    late = await lateness(seconds)
    took = time.perf_counter() - begun
    told: dict[str, Any] = {"cpu": 100 * (time.process_time() - spent) / took, "bytes": written / took}
    told |= {"late": late.by_the_clock, "late_by_own_work": late.by_own_work}
    await asyncio.to_thread(found.write_text, json.dumps(told))
    app.exit()


def main(seconds: float, found: Path) -> None:
    names = [f"pod-{number}" for number in range(PODS)]
    pods = {name: PodConfig(name, local=True, outputs_dir="/mnt/runs/bench") for name in names}
    config = ProjectConfig("bench", "/mnt/runs/bench", pods=pods)
    app = OpsApp(config, fleet=BusyFleet(config), on_start=lambda _: measure(app, seconds, found))
    app.run()


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]))
