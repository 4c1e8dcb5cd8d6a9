"""How long the command takes to do nothing, beside the interpreter it runs in."""

from __future__ import annotations

import sys

from benchmarks.measure import Row, median, milliseconds, process
from benchmarks.world import World

REPEATS = 15


async def measure(world: World) -> list[Row]:
    ops = [sys.executable, "-m", "podops.cli.main"]
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "`ops --help`": [*ops, "--help"],
        "`ops run status --help`": [*ops, "run", "status", "--help"],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            took[name].append(await milliseconds(lambda command=command: process(*command)))  # type: ignore[misc]
    python = took.pop("python")
    return [median(name, "`python -c pass`", ours, python, "ms") for name, ours in took.items()]
