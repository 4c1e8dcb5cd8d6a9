"""Asking once, with nothing open: `ops run status` and `ops status` beside one `ssh` that prints about the same."""

from __future__ import annotations

import shlex
import sys

from benchmarks.measure import Row, median, milliseconds, process
from benchmarks.world import FAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

REPEATS = 10

PRESETS = {"chatty": {"kind": "command", "command": "seq 1 1000; sleep 600"}}


async def measure(world: World) -> list[Row]:
    async with Fleet(world.config, pods=[FAR]) as fleet:
        await fleet.settled(20)
        await fleet.submit(plan_submit(world.config, "chatty", FAR, run_id="chatty"))
    log = shlex.quote(str(world.run_dir(FAR, "chatty") / "stdout.log"))
    # nvidia-smi is not there on a machine without a GPU; where it is, it alone takes 0.1 to 2 s.
    by_hand = [*world.ssh(), f"nvidia-smi; uptime; free; df; tail -n 50 {log}"]
    ops = [sys.executable, "-m", "podops.cli.main", "--config", str(world.project_file)]
    commands = {
        "status": [*ops, "run", "status", "chatty", "--pod", FAR],
        "fleet": [*ops, "status"],
        "hand": by_hand,
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            took[name].append(await milliseconds(lambda command=command: process(*command)))  # type: ignore[misc]
    instead = "`ssh pod 'nvidia-smi; uptime; free; df; tail -n 50 log'`"
    return [
        median("`ops run status RUN`, cold", instead, took["status"], took["hand"], "ms"),
        median("`ops status` of two pods, cold", instead, took["fleet"], took["hand"], "ms"),
    ]
