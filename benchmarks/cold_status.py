"""Asking once, with nothing open: `ops run status` and `ops status` beside one `ssh` that prints about the same."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from benchmarks.measure import Row, cost, median, process
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
    ops = [str(Path(sys.executable).with_name("ops")), "--config", str(world.project_file)]
    commands = {
        "status": [*ops, "run", "status", "chatty", "--pod", FAR],
        "fleet": [*ops, "status"],
        "hand": by_hand,
        "true": [*world.ssh(), "true"],
        "python": [sys.executable, "-c", "pass"],
    }
    clock: dict[str, list[float]] = {name: [] for name in commands}
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for name in commands:  # what a pod was reached by is noted the first time
        await process(*commands[name])
    for _ in range(REPEATS):
        for name, command in commands.items():
            took, used = await cost(*command)
            clock[name].append(took)
            spent[name].append(used)
    instead = "`ssh pod 'nvidia-smi; uptime; free; df; tail -n 50 log'`"
    least = "`ssh pod true` and Python's own start"
    status = "`ops run status RUN`, cold"
    return [
        median(status, instead, clock["status"], clock["hand"], "ms"),
        median("`ops status` of two pods, cold", instead, clock["fleet"], clock["hand"], "ms"),
        median(status, least, clock["status"], _sums(clock), "ms"),
        median(f"{status}: CPU of this machine", least, spent["status"], _sums(spent), "ms of CPU"),
    ]


def _sums(figures: dict[str, list[float]]) -> list[float]:
    return [true + python for true, python in zip(figures["true"], figures["python"], strict=True)]
