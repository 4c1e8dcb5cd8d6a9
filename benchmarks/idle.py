"""What watching costs while a run says nothing: supervisor, shim and agent beside the shell and tee of a pipeline."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from tests.pods.loopback import command_line, descendants

from benchmarks.measure import Row, process
from benchmarks.world import NEAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

SECONDS = 30.0

PRESETS = {"quiet": {"kind": "command", "command": "exec sleep 600"}}


async def measure(world: World) -> list[Row]:
    await process(*world.tmux_line("sleep 600", world.root / "quiet.log"))
    async with Fleet(world.config, pods=[NEAR]) as fleet:
        await fleet.settled(20)
        await fleet.submit(plan_submit(world.config, "quiet", NEAR, run_id="quiet"))
    await asyncio.sleep(3.0)
    ours, theirs = _watchers(world), _pipeline(world)
    before = [_cpu_seconds(pids) for pids in (ours, theirs)]
    await asyncio.sleep(SECONDS)
    spent = [100 * (_cpu_seconds(pids) - then) / SECONDS for pids, then in zip((ours, theirs), before, strict=True)]
    instead = "bash and tee of `… 2>&1 | tee log`"
    return [
        Row("a quiet run: CPU of what watches it", instead, spent[0], spent[1], "% of a core"),
        Row("a quiet run: memory of what watches it", instead, _memory_mib(ours), _memory_mib(theirs), "MiB"),
        Row("the same, resident", instead, _memory_mib(ours, "Rss:"), _memory_mib(theirs, "Rss:"), "MiB"),
        Row("its supervisor and the agent alone, resident", "-", _memory_mib(ours[:2], "Rss:"), 0.0, "MiB"),
    ]


def _watchers(world: World) -> list[int]:
    """The run's supervisor; the agent, which all runs of a pod share; the shim; the agent's keeper of the root."""
    private = world.run_dir(NEAR, "quiet") / ".ops"
    supervisor = json.loads((private / "claim.json").read_text())["supervisor"]
    shim = json.loads((private / "child.json").read_text())["shim"]
    agent = json.loads((Path(os.environ["PODOPS_STATE_DIR"]) / "agent.json").read_text())["agent"]
    return [int(who["pid"]) for who in (supervisor, agent, shim)] + descendants(int(agent["pid"]))


def _pipeline(world: World) -> list[int]:
    """The pane's shell, its subshell and tee; the sleep is what they watch."""
    panes = os.popen(f"tmux -L {world.other_socket} list-panes -a -F '#{{pane_pid}}'").read().split()
    shells = [int(pid) for pid in panes if "quiet.log" in command_line(int(pid))]
    return [pid for shell in shells for pid in (shell, *descendants(shell)) if command_line(pid) != "sleep 600"]


def _cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mib(pids: list[int], kind: str = "Pss:") -> float:
    """Resident memory; `Pss:` counts pages shared with other processes by their share, `Rss:` in full in each."""
    kib = 0
    for pid in pids:
        for line in _maps(pid).splitlines():
            if line.startswith(kind):
                kib += int(line.split()[1])
    return kib / 1024


def _maps(pid: int) -> str:
    """Empty for a process that has ended and was not waited for yet: it has no memory."""
    try:
        return Path(f"/proc/{pid}/smaps_rollup").read_text()
    except ProcessLookupError:
        return ""
