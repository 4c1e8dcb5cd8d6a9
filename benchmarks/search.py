"""A big log searched through the link beside `ssh grep`; `OPS_BENCH_SEARCH_MB` says how big (1000)."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path

from tests.pods.fleet_config import hand_made_run

from benchmarks.measure import Row, median, milliseconds, process
from benchmarks.world import FAR, World
from podops.fleet.fleet import Fleet
from podops.fleet.log_search import LogQuery

MEGABYTES = int(os.environ.get("OPS_BENCH_SEARCH_MB", "1000"))
REPEATS = 5

_LINE = b"iter %07d: loss 2.3456, time 123.45ms, mfu 41.23%%, lr 3.00e-04, grad norm 0.9876\n"

#: By what they are told as; of each, some lines of the log match, the last ones among them.
PATTERNS = {
    "a text": LogQuery("iter 0100", literal=True, only_count=True),
    "an expression": LogQuery(r"iter [0-9]+7777: loss (nan|2\.[0-9]+)", only_count=True),
    "a text, upper and lower case the same": LogQuery("Loss NaN", literal=True, ignore_case=True, only_count=True),
}


async def measure(world: World) -> list[Row]:
    log = await asyncio.to_thread(_write, world)
    rows = []
    try:
        async with Fleet(world.config, pods=[FAR]) as fleet:
            await fleet.settled(30)
            for name, query in PATTERNS.items():
                rows.append(await _compared(world, fleet, log, name, query))
    finally:
        log.unlink()
    return rows


async def _compared(world: World, fleet: Fleet, log: Path, name: str, query: LogQuery) -> Row:
    grep = _grep(query)
    command = [*world.ssh(), f"LC_ALL=C {grep} {log}"]
    ours, theirs = [], []
    for _ in range(REPEATS):
        theirs.append(await milliseconds(lambda: process(*command, ok=(0, 1))))
        ours.append(await milliseconds(lambda: _search(fleet, query)))
    return median(f"searching a log of {MEGABYTES} MB for {name}", f"`ssh pod LC_ALL=C {grep} log`", ours, theirs, "ms")


async def _search(fleet: Fleet, query: LogQuery) -> int:
    return sum([step.count async for step in fleet.search(FAR, "searched", query)])


def _grep(query: LogQuery) -> str:
    how = "-cF" if query.literal else "-cE"
    return f"grep {how}{'i' if query.ignore_case else ''} {shlex.quote(query.pattern)}"


def _write(world: World) -> Path:
    log = hand_made_run(world.pod.outputs_dir, "searched")
    with log.open("wb") as stream:
        for begin in range(0, MEGABYTES * 1_000_000 // len(_LINE % 0), 10_000):
            stream.write(b"".join(_LINE % number for number in range(begin, begin + 10_000)))
    return log
