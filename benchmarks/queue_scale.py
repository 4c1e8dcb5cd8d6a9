"""A thousand runs that wait: what a pass of the scheduler, the run list and `ops queue list` take."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.measure import Row, cost, median
from benchmarks.world import NEAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit
from podops_runners import machine
from podops_runners.run_queue import Queue
from podops_runners.rundir import Layout
from podops_runners.scan import Project, Scanner

RUNS, REPEATS, GPUS = 1000, 9, 8

PRESETS = {"wide": {"kind": "command", "command": "exec sleep 600", "gpus": "all"}}

#: A GPU of the simulated ones, as the scheduler sees it; the first run claims them all.
_SAMPLES: list[dict[str, Any]] = [{"index": index, "memory_used_bytes": 0, "error": ""} for index in range(GPUS)]


async def measure(world: World) -> list[Row]:
    simulated = replace(world.config, pods={NEAR: replace(world.config.pods[NEAR], simulated_gpus=GPUS)})
    async with Fleet(simulated) as fleet:
        await fleet.settled(20)
        for run_id in ("first", "waits"):
            await fleet.submit(plan_submit(simulated, "wide", NEAR, run_id=run_id))
    root = world.run_dir(NEAR, "waits").parent
    for number in range(RUNS - 1):
        shutil.copytree(root / "waits", root / f"waits-{number:04}")
    await asyncio.sleep(3.0)  # what has changed just now is read again each time
    queue, scanner = Queue(), Scanner([Project("bench", str(root), Layout())])
    (root_known,) = [known for known in machine.roots() if known.outputs_dir == str(root)]
    took: dict[str, list[float]] = {"pass": [], "list": [], "cold": [], "cpu": []}
    for _ in range(REPEATS + 1):
        took["pass"].append(_timed(lambda: queue.start_what_can(root_known, [], lambda _: _SAMPLES)))
        took["list"].append(_timed(scanner.scan))
    for _ in range(3):
        ops = [str(Path(sys.executable).with_name("ops")), "--config", str(world.project_file)]
        clock, spent = await cost(*ops, "queue", "list", "--pod", NEAR)
        took["cold"].append(clock)
        took["cpu"].append(spent)
    many = f"{RUNS:,} waiting runs"
    nothing = "(nothing tells it)"
    return [
        Row(f"{many}: a pass of the scheduler that has read none of them", nothing, took["pass"][0], 0, "ms of CPU"),
        median(f"{many}: each further pass", nothing, took["pass"][1:], [0.0], "ms of CPU"),
        Row(f"{many}: the run list of a link that has read none of them", nothing, took["list"][0], 0, "ms of CPU"),
        median(f"{many}: each further look", nothing, took["list"][1:], [0.0], "ms of CPU"),
        median(f"{many}: `ops queue list`, cold", nothing, took["cold"], [0.0], "ms"),
        median(f"{many}: `ops queue list` and its pod side", nothing, took["cpu"], [0.0], "ms of CPU"),
    ]


def _timed(work: Callable[[], object]) -> float:
    """Processor time: what is read lies in memory, so an idle machine takes no longer."""
    begun = process_time()
    work()
    return (process_time() - begun) * 1000
