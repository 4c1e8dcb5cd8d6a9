"""Many links beside bare asyncssh connections: what they cost at one sample a second, and how soon they are there.

`OPS_BENCH_LINKS` says how many pods (20). They are one sshd on loopback, so that both sides pay the same for it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.pods.loopback import SshPod, link_processes, wait_for

from benchmarks.measure import Row, median, process
from benchmarks.world import FAR, World
from podops.config.model import ProjectConfig
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

LINKS = int(os.environ.get("OPS_BENCH_LINKS", "20"))
SECONDS, REPEATS = 15.0, 3

#: As many at once as podops connects to.
_AT_ONCE = 20

_LOOP = f"a loop of {LINKS} asyncssh connects that start nothing"

#: What a bare loop reads: as many bytes as a link brings, as often, from a program that does nothing else. Pods do not
#: speak in step: read together, many cost less than one by one.
_SAY = (
    "exec python3 -I -S -c 'import os, time\ntime.sleep(os.urandom(1)[0] / 256)\n"
    'while 1: print("x" * {size}, flush=True); time.sleep(1)\''
)

#: What one writes by hand to see a machine's figures once a second.
_SHELL_SAMPLER = (
    "while :; do cat /proc/loadavg /proc/meminfo /proc/stat /proc/net/dev > /dev/null; df / > /dev/null; "
    "nvidia-smi > /dev/null 2>&1; tail -n 5 ~/runs/*/heartbeat.txt > /dev/null 2>&1; sleep 1; done"
)


_PRINTER = """
import time
while True:
    print("iter 001234: loss 2.3456, time 123.45ms, mfu 41.23%, lr 3.00e-04, grad norm 0.9876", flush=True)
    time.sleep(0.01)
"""

PRESETS = {"printer": {"kind": "command", "command": f"{shlex.quote(sys.executable)} -c {shlex.quote(_PRINTER)}"}}


async def measure(world: World) -> list[Row]:
    return [*await _pod_side(world), *await _steady(world), *await _logs(world), *await _connecting(world)]


def _config(world: World, count: int) -> ProjectConfig:
    pod = world.config.pods[FAR]
    return replace(world.config, pods={f"pod-{n:03}": replace(pod, name=f"pod-{n:03}") for n in range(count)})


async def _steady(world: World) -> list[Row]:
    heard = await _bytes_a_second(world)
    async with Fleet(_config(world, LINKS)) as fleet:
        await fleet.settled(120)
        ours = await _cpu_percent()
    async with _Bare(world.pod, LINKS) as bare:
        await bare.connect()
        reading = [
            asyncio.create_task(bare.read(connection, _SAY.format(size=heard))) for connection in bare.connections
        ]
        await asyncio.sleep(2.0)
        theirs = await _cpu_percent()
        await _end(reading)
    what = f"{LINKS} links at 1 Hz: CPU of the client"
    return [Row(what, f"bare asyncssh reading the same {heard} bytes a second", ours, theirs, "% of a core")]


async def _logs(world: World) -> list[Row]:
    """All links follow one log, as their pods are one machine."""
    plan = plan_submit(world.config, "printer", FAR, run_id="printer")
    async with Fleet(replace(world.config, pods={FAR: world.config.pods[FAR]})) as fleet:
        await fleet.settled(60)
        await fleet.submit(plan)
    async with Fleet(_config(world, LINKS)) as fleet:
        await fleet.settled(120)
        following = [asyncio.create_task(_follow(fleet, pod)) for pod in fleet.snapshot.pods]
        ours = await _cpu_percent()
        await _end(following)
    async with _Bare(world.pod, LINKS) as bare:
        await bare.connect()
        tail = f"exec tail -n 0 -F {world.run_dir(FAR, 'printer') / 'stdout.log'}"
        reading = [asyncio.create_task(bare.read(connection, tail)) for connection in bare.connections]
        theirs = await _cpu_percent()
        await _end(reading)
    async with Fleet(replace(world.config, pods={FAR: world.config.pods[FAR]})) as fleet:
        await fleet.settled(60)
        await fleet.kill(FAR, "printer", grace_s=0.0)
    what = f"{LINKS} links at 1 Hz, each with a log of 100 lines a second: CPU of the client"
    return [Row(what, "bare asyncssh reading `tail -F`", ours, theirs, "% of a core")]


async def _follow(fleet: Fleet, pod: str) -> None:
    async with fleet.follow(pod, "printer") as log:
        async for chunk in log:
            log.ack(chunk.offset + len(chunk.data))


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _bytes_a_second(world: World) -> int:
    """What one link brings."""
    async with Fleet(_config(world, 1)) as fleet:
        await fleet.settled(60)
        await asyncio.sleep(2.0)
        client = await fleet.link("pod-000").client()
        before = client._heard
        await asyncio.sleep(5.0)
        return int((client._heard - before) / 5.0)


async def _connecting(world: World) -> list[Row]:
    async with Fleet(_config(world, LINKS)) as fleet:
        await fleet.settled(120)  # the pod has our side from here on, and it is compiled
    took: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for name, seconds in [*(await _bare_connects(world)), *(await _links(world))]:
            took.setdefault(name, []).append(1000 * seconds)
    rows = [
        (f"the first of {LINKS} pods answers, and that is shown", "answers", "one asyncssh connect", "one"),
        (f"the first of {LINKS} pods is live", "live", "one asyncssh connect", "one"),
        (f"{LINKS} pods answer, and that is shown", "all answer", _LOOP, "all"),
        (f"{LINKS} pods are live, each with its pod side started", "all live", _LOOP, "all"),
    ]
    cpu = f"{LINKS} pods are live: CPU of the client"
    return [
        *(median(what, instead, took[ours], took[theirs], "ms") for what, ours, instead, theirs in rows),
        median(cpu, _LOOP, took["cpu"], took["bare cpu"], "ms of CPU"),
    ]


async def _bare_connects(world: World) -> list[tuple[str, float]]:
    """Seconds: one connection by itself, then as many as there are links."""
    await asyncio.sleep(1.0)  # the links of before end
    begun = time.perf_counter()
    async with _Bare(world.pod, 1) as bare:
        await bare.connect()
        one = time.perf_counter() - begun
    begun, spent = time.perf_counter(), time.process_time()
    async with _Bare(world.pod, LINKS) as bare:
        await bare.connect()
        return [("one", one), ("all", time.perf_counter() - begun), ("bare cpu", time.process_time() - spent)]


async def _links(world: World) -> list[tuple[str, float]]:
    """Seconds until the first pod, and all of them, answer and are live."""
    begun, spent = time.perf_counter(), time.process_time()
    reached: dict[str, float] = {}

    def look(_: object) -> None:
        pods = fleet.snapshot.pods.values()
        answer = sum(pod.last_seen is not None for pod in pods)
        live = sum(pod.state == "live" for pod in pods)
        for name, is_so in (
            ("answers", answer),
            ("all answer", answer == LINKS),
            ("live", live),
            ("all live", live == LINKS),
        ):
            if is_so:
                reached.setdefault(name, time.perf_counter() - begun)
        if live == LINKS:
            done.set()

    done = asyncio.Event()
    async with Fleet(_config(world, LINKS)) as fleet:
        fleet.subscribe(look)
        async with asyncio.timeout(120):
            await done.wait()
        return [*reached.items(), ("cpu", time.process_time() - spent)]


class _Bare:
    """asyncssh without anything of ours but the options that make it connect to this pod."""

    def __init__(self, pod: SshPod, count: int) -> None:
        self._pod = pod
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._count = count
        self.connections: list[Any] = []

    async def __aenter__(self) -> _Bare:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for connection in self.connections:
            connection.abort()
        await asyncio.gather(*(connection.wait_closed() for connection in self.connections), return_exceptions=True)

    async def connect(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(self._count)))

    async def _one(self) -> None:
        import asyncssh

        async with self._places:
            keys, hosts = [str(self._pod.user_key)], str(self._pod.known_hosts)
            connection = await asyncssh.connect(
                "127.0.0.1", self._pod.port, client_keys=keys, known_hosts=hosts, agent_path=None, config=None
            )
        self.connections.append(connection)

    async def read(self, connection: Any, command: str) -> None:
        said = await connection.create_process(command, encoding=None)
        while await said.stdout.read(65536):
            pass


async def _cpu_percent() -> float:
    """Of this process, while nothing but the links is at work in it."""
    await asyncio.sleep(2.0)
    spent, begun = time.process_time(), time.monotonic()
    await asyncio.sleep(SECONDS)
    return 100 * (time.process_time() - spent) / (time.monotonic() - begun)


async def _pod_side(world: World) -> list[Row]:
    async with Fleet(_config(world, 1)) as fleet:
        await fleet.settled(60)
        await asyncio.sleep(3.0)
        link = await _the_only_link(world)
        ours, resident = await _spent(link), _resident_mib(link)
    environment = dict(os.environ, HOME=str(world.pod.home))
    sampler = await asyncio.create_subprocess_exec("sh", "-c", _SHELL_SAMPLER, env=environment)
    theirs = await _spent(sampler.pid)
    sampler.kill()
    await sampler.wait()
    await process("sleep", "1")
    instead = "a shell loop of cat, df, nvidia-smi and tail"
    return [
        Row("the pod side at 1 Hz: CPU", instead, ours, theirs, "% of a core"),
        Row("the pod side at 1 Hz: resident", "-", resident, 0.0, "MiB"),
    ]


async def _the_only_link(world: World) -> int:
    """Those of before end by themselves."""
    await asyncio.to_thread(wait_for, lambda: len(link_processes(world.pod.home)) == 1, "one link", 30)
    return link_processes(world.pod.home)[0]


async def _spent(pid: int) -> float:
    """CPU of a process and of the children it has waited for, in % of a core."""
    before, begun = _cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(SECONDS)
    return 100 * (_cpu_seconds(pid) - before) / (time.monotonic() - begun)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
