"""A child that prints as fast as it can: under the supervisor, into a file, through tee, through tee in tmux."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.measure import Row, file_text, median, process
from benchmarks.world import NEAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

REPEATS = 15
#: Large beside what is done once at a start, small beside the memory that the kernel keeps unwritten pages in.
MEGABYTES = 512
#: tmux takes as long for one as the others for twenty.
_TMUX_EVERY, _TMUX_MEGABYTES = 5, 64

#: Prints, and leaves how long that took (seconds) in the file `took` beside it. The same has been written and deleted
#: before: memory that was free for a while costs a virtual machine more than memory that was used just now.
_LINES = "yes 'iter 10: loss 3.2100, time 5.00ms, mfu 31.4%' | head -c {size}M"
_PRINT = (
    f"{_LINES} > {{where}}.before; rm {{where}}.before; "
    f'b=$EPOCHREALTIME; {_LINES}; e=$EPOCHREALTIME; echo "$b $e" > {{where}}'
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
            begun, ended = await _times(run / "took", every_s=0.25)
            took["podops"].append(MEGABYTES / (ended - begun))
            late.append(await _recorded(run / "summary.json") - ended)
            (run / "stdout.log").unlink()
            for name in ("file", "tee"):
                took[name].append(await _by_hand(world, name, MEGABYTES))
            if number % _TMUX_EVERY == 0:
                took["tmux"].append(await _by_hand(world, "tmux", _TMUX_MEGABYTES))
    return [
        median("a child printing at full speed (more is better)", "`… > log`", took["podops"], took["file"], "MB/s"),
        median("the same", "`… 2>&1 | tee log > /dev/null`", took["podops"], took["tee"], "MB/s"),
        median("the same", "`… 2>&1 | tee log` in tmux", took["podops"], took["tmux"], "MB/s"),
        median(f"its end is recorded after {MEGABYTES} MB", "(nothing records it)", late, [0.0], "s"),
    ]


async def _by_hand(world: World, name: str, megabytes: int) -> float:
    """MB/s. Into a directory of its own, as every run has: a file system finds room in a new one more slowly."""
    place = world.run_dir(NEAR, f"by-hand-{name}")
    place.mkdir()
    log, where = place / "log", place / "took"
    line = _PRINT.format(size=megabytes, where=where)
    if name == "tmux":
        await process(*world.tmux_line(line, log))
    else:
        kept = f"> {log}" if name == "file" else f"2>&1 | tee {log} > /dev/null"
        await process("bash", "-c", f"{{ {line}; }} {kept}")
    begun, ended = await _times(where)
    shutil.rmtree(place)
    return megabytes / (ended - begun)


async def _times(where: Path, every_s: float = 0.005) -> tuple[float, float]:
    """Looked for seldom where it is looked for while the run prints, which must not be held up by that."""
    begun, ended = (await file_text(where, every_s=every_s)).split()
    return float(begun), float(ended)


async def _recorded(summary: Path) -> float:
    return float(json.loads(await file_text(summary))["ended"])
