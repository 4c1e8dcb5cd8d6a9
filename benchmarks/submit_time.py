"""From asking for a run to its first instruction: a submit on a warm link beside a tmux session made by hand."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import join

from benchmarks.measure import Row, file_text, median, process
from benchmarks.world import FAR, NEAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

REPEATS = 20

_LINE = "echo $EPOCHREALTIME"

PRESETS = {"stamp": {"kind": "command", "command": _LINE}}


async def measure(world: World) -> list[Row]:
    await process("tmux", "-L", world.other_socket, "-f", "/dev/null", "new-session", "-d", "sleep", "3600")
    shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={world.root}/mux", "-o", "ControlPersist=yes"]
    took: dict[str, list[float]] = {name: [] for name in (FAR, NEAR, "ssh", "shared", "tmux")}
    async with Fleet(world.config) as fleet:
        await fleet.settled(20)
        await process(*world.ssh(*shared), "true")
        for number in range(REPEATS + 1):
            for pod in (FAR, NEAR):
                took[pod].append(await _through_podops(world, fleet, pod, f"{pod}{number}"))
            for name, options in (("ssh", []), ("shared", shared)):
                log = world.root / f"{name}-{number}.log"
                line = join(world.tmux_line(_LINE, log))
                took[name].append(await _by_hand(log, *world.ssh(*options), line))
            log = world.root / f"tmux-{number}.log"
            took["tmux"].append(await _by_hand(log, *world.tmux_line(_LINE, log)))
    await process(*world.ssh(*shared, "-O", "exit"))
    # The first of each started a tmux server, or filled a cache.
    warm = {name: values[1:] for name, values in took.items()}
    by_hand = 'tmux new -d "… 2>&1 | tee log"'
    what = "submit to first instruction"
    return [
        median(what, f"`ssh pod {by_hand}`", warm[FAR], warm["ssh"], "ms"),
        median(
            what,
            "the same over a shared connection (ControlMaster)",
            warm[FAR],
            warm["shared"],
            "ms",
        ),
        median(f"{what}, on the pod itself", f"`{by_hand}`", warm[NEAR], warm["tmux"], "ms"),
        Row("the same, fastest of twenty", f"`{by_hand}`", min(warm[NEAR]), min(warm["tmux"]), "ms"),
    ]


async def _through_podops(world: World, fleet: Fleet, pod: str, run_id: str) -> float:
    plan = plan_submit(world.config, "stamp", pod, run_id=run_id)
    asked = time.time()
    await fleet.submit(plan)
    took = await _first_instruction(world.run_dir(pod, run_id) / "stdout.log", asked)
    # The end of a run costs its pod some work, which is not the next one's.
    await file_text(world.run_dir(pod, run_id) / "summary.json")
    return took


async def _by_hand(log: Path, *command: str) -> float:
    asked = time.time()
    await process(*command)
    return await _first_instruction(log, asked)


async def _first_instruction(log: Path, asked: float) -> float:
    return (float(await file_text(log)) - asked) * 1000
