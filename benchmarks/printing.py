"""A child that prints as fast as it can: under the supervisor, into a file, through tee, through tee in tmux."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.measure import Row, file_text, median, process
from benchmarks.world import NEAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

REPEATS = 9
MEGABYTES = 256

#: Prints, and leaves how long that took (seconds) in the file `took` beside it.
_PRINT = (
    "b=$EPOCHREALTIME; yes 'iter 10: loss 3.2100, time 5.00ms, mfu 31.4%' | head -c {size}M; e=$EPOCHREALTIME; "
    'echo "$b $e" > {where}'
)

PRESETS = {"flood": {"kind": "command", "command": _PRINT.format(size=MEGABYTES, where="took")}}


async def measure(world: World) -> list[Row]:
    took: dict[str, list[float]] = {name: [] for name in ("podops", "file", "tee", "tmux")}
    late: list[float] = []
    async with Fleet(world.config, pods=[NEAR]) as fleet:
        await fleet.settled(20)
        for number in range(REPEATS):
            run = world.run_dir(NEAR, f"flood{number}")
            await fleet.submit(plan_submit(world.config, "flood", NEAR, run_id=run.name))
            begun, ended = await _times(run / "took")
            took["podops"].append(MEGABYTES / (ended - begun))
            late.append(await _recorded(run / "summary.json") - ended)
            (run / "stdout.log").unlink()
            for name in ("file", "tee", "tmux"):
                took[name].append(await _by_hand(world, name))
    return [
        median("a child printing at full speed (more is better)", "`… > log`", took["podops"], took["file"], "MB/s"),
        median("the same", "`… 2>&1 | tee log > /dev/null`", took["podops"], took["tee"], "MB/s"),
        median("the same", "`… 2>&1 | tee log` in tmux", took["podops"], took["tmux"], "MB/s"),
        median(f"its end is recorded after {MEGABYTES} MB", "(nothing records it)", late, [0.0], "s"),
    ]


async def _by_hand(world: World, name: str) -> float:
    log, where = world.root / f"{name}.log", world.root / f"{name}.took"
    line = _PRINT.format(size=MEGABYTES, where=where)
    if name == "tmux":
        await process(*world.tmux_line(line, log))
    else:
        kept = f"> {log}" if name == "file" else f"2>&1 | tee {log} > /dev/null"
        await process("bash", "-c", f"{{ {line}; }} {kept}")
    begun, ended = await _times(where)
    log.unlink()
    where.unlink()
    return MEGABYTES / (ended - begun)


async def _times(where: Path) -> tuple[float, float]:
    begun, ended = (await file_text(where)).split()
    return float(begun), float(ended)


async def _recorded(summary: Path) -> float:
    return float(json.loads(await file_text(summary))["ended"])
