"""A big log through the link: read at full speed beside `ssh cat`, searched beside `ssh grep`.

`OPS_BENCH_LOG_MB` says how big (100).
"""

from __future__ import annotations

import asyncio
import os
import statistics
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.pods.fleet_config import hand_made_run

from benchmarks.measure import Row, milliseconds
from benchmarks.world import FAR, World
from podops.fleet.fleet import Fleet

MEGABYTES = int(os.environ.get("OPS_BENCH_LOG_MB", "100"))
REPEATS = 3

_LINE = b"iter %07d: loss 2.3456, time 123.45ms, mfu 41.23%%, lr 3.00e-04, grad norm 0.9876\n"
_CIPHER = "aes128-gcm@openssh.com"
_CHUNK = 1 << 20


async def measure(world: World) -> list[Row]:
    log = await asyncio.to_thread(_write, world)
    took: dict[str, list[float]] = {name: [] for name in ("follow", "cat")}
    async with Fleet(world.config, pods=[FAR]) as fleet:
        await fleet.settled(30)
        for _ in range(REPEATS):
            took["follow"].append(await milliseconds(lambda: _follow(fleet)))
            took["cat"].append(await milliseconds(lambda: _cat(world, log)))
    speed = {name: MEGABYTES * 1000 / statistics.median(times) for name, times in took.items()}
    instead = f"`ssh -c {_CIPHER} pod cat log > /dev/null`"
    return [
        Row(f"a log of {MEGABYTES} MB at full speed (more is better)", instead, speed["follow"], speed["cat"], "MB/s")
    ]


def _write(world: World) -> Path:
    log = hand_made_run(world.pod.outputs_dir, "big")
    with log.open("wb") as stream:
        for begin in range(0, MEGABYTES * 1_000_000 // len(_LINE % 0), 10_000):
            stream.write(b"".join(_LINE % number for number in range(begin, begin + 10_000)))
    return log


async def _follow(fleet: Fleet) -> None:
    """Read the log as the app does when nothing holds it up."""
    size = MEGABYTES * 1_000_000 - 1_000_000
    async with fleet.follow(FAR, "big", offset=0, lossless=True, window=4 * _CHUNK) as stream:
        async for chunk in stream:
            end = chunk.offset + len(chunk.data)
            stream.ack(end)
            if end >= size:
                return


async def _cat(world: World, log: Path) -> None:
    command = [*world.ssh("-c", _CIPHER), f"cat {log}"]
    cat = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert cat.stdout is not None
    while await cat.stdout.read(_CHUNK):
        pass
    await cat.wait()
