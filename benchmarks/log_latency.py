"""How long a line written on the pod takes to reach this machine: podops' stream beside `ssh … tail -F`, at once."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.measure import Row, median_and_p99
from benchmarks.world import FAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

LINES = 400

_CHILD = f"""
import os, random, time
while not os.path.exists("go"): time.sleep(0.05)
time.sleep(0.5)
for _ in range({LINES}):
    print(time.time_ns(), flush=True)
    time.sleep(random.uniform(0.01, 0.05))
"""

#: Each line is the moment it was written, nanoseconds by the clock both ends share.
PRESETS = {"stamps": {"kind": "command", "command": f"{shlex.quote(sys.executable)} -c {shlex.quote(_CHILD)}"}}


async def measure(world: World) -> list[Row]:
    async with Fleet(world.config, pods=[FAR]) as fleet:
        await fleet.settled(20)
        await fleet.submit(plan_submit(world.config, "stamps", FAR, run_id="stamps"))
        ours, theirs = await _both(world, "stamps", _through_podops(fleet))
    return median_and_p99("a line reaches the client", "`ssh pod tail -F`", ours, theirs, "ms")


async def _both(world: World, run_id: str, ours: Coroutine[Any, Any, list[float]]) -> tuple[list[float], list[float]]:
    directory = world.run_dir(FAR, run_id)
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        through_podops = tasks.create_task(ours)
        through_tail = tasks.create_task(_through_tail(world, str(directory / "stdout.log")))
        await asyncio.sleep(2.0)
        (directory / "go").touch()
    return through_podops.result(), through_tail.result()


async def _through_podops(fleet: Fleet) -> list[float]:
    ages: list[float] = []
    rest = b""
    async with fleet.follow(FAR, "stamps", offset=0) as stream:
        async for chunk in stream:
            *lines, rest = (rest + chunk.data).split(b"\n")
            ages += [_age_ms(line) for line in lines]
            stream.ack(chunk.offset + len(chunk.data))
    assert len(ages) == LINES
    return ages


async def _through_tail(world: World, log: str) -> list[float]:
    command = [*world.ssh(), f"tail -n +1 -F {shlex.quote(log)}"]
    tail = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert tail.stdout is not None
    ages = [_age_ms(await tail.stdout.readline()) for _ in range(LINES)]
    tail.terminate()
    await tail.wait()
    return ages


def _age_ms(line: bytes) -> float:
    return (time.time_ns() - int(line)) / 1e6
