"""Asking while somebody holds the links: `ops run status` beside the command's own start, `ops status` beside `ssh`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.measure import Row, median, milliseconds, process
from benchmarks.world import FAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

REPEATS = 15

PRESETS = {"watched": {"kind": "command", "command": "seq 1 1000; sleep 600"}}


async def measure(world: World) -> list[Row]:
    async with Fleet(world.config, pods=[FAR]) as fleet:
        await fleet.settled(20)
        await fleet.submit(plan_submit(world.config, "watched", FAR, run_id="watched"))
    ops = [sys.executable, "-m", "podops.cli.main", "--config", str(world.project_file)]
    commands = {
        "version": [*ops, "--version"],
        "status": [*ops, "run", "status", "watched"],
        "fleet": [*ops, "status"],
        "alone": [*ops, "--no-share", "status"],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    async with _watch(ops):
        for _ in range(REPEATS):
            for name, command in commands.items():
                took[name].append(await milliseconds(lambda command=command: process(*command)))  # type: ignore[misc]
    return [
        median("`ops run status RUN` over a shared link", "`ops --version`", took["status"], took["version"], "ms"),
        median("`ops status` over shared links", "`ops --no-share status`", took["fleet"], took["alone"], "ms"),
    ]


@asynccontextmanager
async def _watch(ops: list[str]) -> AsyncIterator[None]:
    """`ops watch`, with the far pod live."""
    watch = await asyncio.create_subprocess_exec(*ops, "watch", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    assert watch.stdout is not None
    try:
        async with asyncio.timeout(60):
            while f"{FAR}  live".encode() not in await watch.stdout.readline():
                pass
        yield
    finally:
        os.kill(watch.pid, signal.SIGTERM)
        await watch.wait()
