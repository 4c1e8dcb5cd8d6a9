"""Many links beside bare asyncssh connections: what they cost at one sample a second.

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

from tests.pods.loopback import link_processes, wait_for

from benchmarks.bare_ssh import BareConnections
from benchmarks.measure import Row, process
from benchmarks.world import FAR, World
from podops.config.model import ProjectConfig
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

LINKS = int(os.environ.get("OPS_BENCH_LINKS", "20"))
SECONDS = 15.0

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
    return [*await _pod_side(world), *await _steady(world), *await _logs(world)]


def _config(world: World, count: int) -> ProjectConfig:
    pod = world.config.pods[FAR]
    return replace(world.config, pods={f"pod-{n:03}": replace(pod, name=f"pod-{n:03}") for n in range(count)})


async def _steady(world: World) -> list[Row]:
    heard = await _bytes_a_second(world)
    async with Fleet(_config(world, LINKS)) as fleet:
        await fleet.settled(120)
        ours = await _cpu_percent()
    async with BareConnections(world.pod.user_key, world.pod.known_hosts) as bare:
        await bare.connect(*[world.pod.port] * LINKS)
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
    async with BareConnections(world.pod.user_key, world.pod.known_hosts) as bare:
        await bare.connect(*[world.pod.port] * LINKS)
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
