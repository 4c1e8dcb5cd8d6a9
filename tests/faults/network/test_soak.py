"""A fleet on networks that do something bad every few seconds: nothing is lost, and nothing grows.

`OPS_SOAK_S=1800 OPS_SOAK_PODS=20` makes it half an hour with twenty pods; without them it is short.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from podops.config.model import PodConfig
from podops.fleet.fleet import Fleet
from tests.faults.network.bad_network import BadNetwork, Conditions
from tests.faults.network.followed_log import followed_log
from tests.pods.conftest import MakeSshPod
from tests.pods.fleet_config import fleet_config, pod_config, shows
from tests.pods.loopback import SshPod

SOAK_S = float(os.environ.get("OPS_SOAK_S", "40"))
PODS = int(os.environ.get("OPS_SOAK_PODS", "4"))


async def trouble(network: BadNetwork, chance: random.Random) -> str:
    """One fault, from its beginning to its end."""

    what = chance.choice(["reset", "forget", "stop", "refuse", "slow", "lossy"])
    if what == "reset":
        network.reset()
    elif what == "forget":
        network.forget()
    elif what == "stop":
        network.stop()
        await asyncio.sleep(chance.uniform(0.5, 12))
        network.go()
    elif what == "refuse":
        network.refuse()
        network.reset()
        await asyncio.sleep(chance.uniform(0.5, 4))
        network.listen()
    else:
        network.conditions = Conditions(rate=12_500) if what == "slow" else Conditions(latency_s=0.15, loss=0.05)
        await asyncio.sleep(chance.uniform(2, 6))
        network.conditions = Conditions()
    return what


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def behind(pod: SshPod, network: BadNetwork) -> PodConfig:
    for file in (pod.ssh_config, pod.known_hosts):
        file.write_text(file.read_text().replace(str(pod.port), str(network.port)))
    return pod_config(pod)


@pytest.mark.timeout(SOAK_S + 240)
async def test_a_fleet_in_trouble_loses_nothing_and_grows_nowhere(ssh_pod: MakeSshPod) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    print(f"seed {seed}")
    pods = [ssh_pod(f"pod-{number}") for number in range(PODS)]
    with ExitStack() as stack:
        networks = [stack.enter_context(BadNetwork(pod.port)) for pod in pods]
        config = fleet_config(*[behind(pod, network) for pod, network in zip(pods, networks, strict=True)])
        async with Fleet(config) as fleet:
            await fleet.settled(60)
            tasks, files = len(asyncio.all_tasks()), open_files()
            middle = 0
            async with AsyncExitStack() as logs:
                for pod in pods:
                    await logs.enter_async_context(followed_log(fleet, pod, 4_000, name=pod.name))
                loop = asyncio.get_running_loop()
                end = loop.time() + SOAK_S
                done: list[str] = []

                async def haunt(network: BadNetwork) -> None:
                    while loop.time() < end:
                        await asyncio.sleep(chance.uniform(1, 6))
                        done.append(await trouble(network, chance))

                async with asyncio.TaskGroup() as group:
                    for network in networks:
                        group.create_task(haunt(network))
                    await asyncio.sleep(SOAK_S / 2)
                    middle = resident_kib()
                for pod in pods:
                    fleet.retry(pod.name)
                    await shows(fleet, pod.name, lambda seen: seen.state == "live", "the pod to be live at the end")
            assert len(done) >= PODS * SOAK_S / 25
            assert resident_kib() < middle * 1.25 + 8192
            for pod, network in zip(pods, networks, strict=True):
                # Connections that the bad network still holds are its own, not the fleet's.
                network.reset()
                await shows(fleet, pod.name, lambda seen: seen.state != "live", "the reset")
                await shows(fleet, pod.name, lambda seen: seen.state == "live", "the pod after it")
            await asyncio.sleep(2)
            assert len(asyncio.all_tasks()) <= tasks
            assert open_files() <= files
