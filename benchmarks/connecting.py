"""How soon pods are there, and what that costs the client, beside asyncssh connections that start nothing."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.bare_ssh import AT_ONCE, BareConnections
from benchmarks.far.machines import DELAY_MS, Machines, can_build, far, near, stand_in_pod
from benchmarks.measure import Row, median
from benchmarks.world import World
from podops.config.model import ProjectConfig
from podops.fleet.fleet import Fleet
from podops_tui.pauses import shortened

FEW, MANY = 20, 200
REPEATS = 5

_FAR = f"{DELAY_MS:g} ms away"
_RECORDED = "a recorded pod side"


@dataclass(frozen=True)
class Case:
    """`kind` names the pods in the rows; `starts` is a command that costs such a pod what its side of a link does."""

    kind: str
    machines: Machines
    config: ProjectConfig
    far: bool = False
    starts: str | None = None
    repeats: int = REPEATS

    @property
    def count(self) -> int:
        return len(self.machines.ports)


async def measure(world: World) -> list[Row]:
    """Pods that are real in every part, on this machine."""
    few = await _rows(_case(world, "pods", near(world.pod, FEW)))
    return [*few, *await _rows(replace(_case(world, "pods", near(world.pod, MANY)), repeats=3))]


async def measure_own_machines(world: World) -> list[Row]:
    """Pods whose work is not this machine's, as those of a real fleet."""
    if not can_build():
        sys.stderr.write("there is no C compiler: pods with machines of their own are left out\n")
        return []
    rows: list[Row] = []
    with stand_in_pod(world.root) as pod:
        for count in (FEW, MANY):
            with far(pod, count) as machines:
                case = _case(world, f"pods {_FAR} with {_RECORDED}", machines)
                rows += await _rows(replace(case, starts="exec python3 -I -S -c x x"))
        rows += await _rows(_case(world, f"pods with {_RECORDED}", near(pod, MANY)))
    with far(world.pod, FEW) as machines:
        rows += await _rows(_case(world, f"pods {_FAR}", machines))
    return rows


def _case(world: World, kind: str, machines: Machines) -> Case:
    config = replace(world.config, pods={pod.name: pod for pod in machines.pods})
    return Case(kind, machines, config, far=len(set(machines.ports)) > 1)


async def _rows(case: Case) -> list[Row]:
    await _links(case)  # the pods have our side from here on, and it is compiled
    took: dict[str, list[float]] = {}
    for _ in range(case.repeats):
        for name, seconds in [*await _bare(case), *await _links(case)]:
            took.setdefault(name, []).append(1000 * seconds)
    n, kind = case.count, case.kind
    one, loop = "one asyncssh connect", f"a loop of {n} asyncssh connects that start nothing, {AT_ONCE} at once"
    rows = [
        (f"the first of {n} {kind} answers, and that is shown", "answers", one, "one"),
        (f"the first of {n} {kind} is live", "live", one, "one"),
        (f"{n} {kind} answer, and that is shown", "all answer", loop, "all"),
        (f"{n} {kind} are live", "all live", loop, "all"),
    ]
    if case.far:
        at_once = f"a loop of {n} asyncssh connects, all at once"
        rows.append((f"{n} {kind} are live", "all live", at_once, "at once"))
    if case.starts:
        rows.append((f"{n} {kind} are live", "all live", f"{at_once}, each with one command", "with a command"))
    cpu = f"{n} {kind} are live: CPU of the client"
    return [
        *(median(what, instead, took[ours], took[theirs], "ms") for what, ours, instead, theirs in rows),
        median(cpu, loop, took["cpu"], took["bare cpu"], "ms of CPU"),
    ]


async def _bare(case: Case) -> list[tuple[str, float]]:
    """Seconds: one connection by itself, then as many as there are pods."""
    ports = case.machines.ports
    one, _ = await _connects(case, ports[:1], AT_ONCE)
    all_of_them, spent = await _connects(case, ports, AT_ONCE)
    told = [("one", one), ("all", all_of_them), ("bare cpu", spent)]
    if case.far:
        told.append(("at once", (await _connects(case, ports, len(ports)))[0]))
    if case.starts:
        told.append(("with a command", (await _connects(case, ports, len(ports), case.starts))[0]))
    return told


async def _connects(case: Case, ports: Sequence[int], at_once: int, command: str | None = None) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    await asyncio.sleep(1.0)  # the links of before end
    begun, spent = time.perf_counter(), time.process_time()
    async with BareConnections(case.machines.key, case.machines.known_hosts, at_once) as bare:
        await bare.connect(*ports, command=command)
        return time.perf_counter() - begun, time.process_time() - spent


async def _links(case: Case) -> list[tuple[str, float]]:
    """Seconds until the first pod, and all of them, answer and are live; with Python's pauses as the app has them."""
    with shortened():
        return await _live(case)


async def _live(case: Case) -> list[tuple[str, float]]:
    await asyncio.sleep(1.0)
    begun, spent = time.perf_counter(), time.process_time()
    reached: dict[str, float] = {}

    def look(_: object) -> None:
        pods = fleet.snapshot.pods.values()
        answer = sum(pod.last_seen is not None for pod in pods)
        live = sum(pod.state == "live" for pod in pods)
        for name, is_so in (
            ("answers", answer),
            ("all answer", answer == case.count),
            ("live", live),
            ("all live", live == case.count),
        ):
            if is_so:
                reached.setdefault(name, time.perf_counter() - begun)
        if live == case.count:
            done.set()

    done = asyncio.Event()
    async with Fleet(case.config) as fleet:
        fleet.subscribe(look)
        async with asyncio.timeout(120):
            await done.wait()
        return [*reached.items(), ("cpu", time.process_time() - spent)]
