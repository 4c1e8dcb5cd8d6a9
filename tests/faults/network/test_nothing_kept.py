"""Links that break again and again leave nothing behind: no task, no descriptor, no object of ours or of asyncssh's."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import pytest

from podops.errors import PodopsError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot
from tests.faults.fault_pod import kill
from tests.faults.held import Held
from tests.faults.network.bad_network import BadNetwork
from tests.faults.network.followed_log import followed_log
from tests.pods.fleet_config import fleet_config, shows
from tests.pods.loopback import SshPod, link_processes

#: After how many breaks what is held is looked at first, and last.
FEW, MANY = 8, int(os.environ.get("OPS_BREAKS", "40"))


def live(pod: PodSnapshot) -> bool:
    return pod.state == "live" and pod.listed


def kill_links(pod: SshPod) -> None:
    for pid in link_processes(pod.home):
        kill(pid)


async def held(fleet: Fleet) -> Held:
    """What is held once the link is there and what was lost has been closed."""
    await shows(fleet, "pod", live, "the pod again")
    return await Held.least()


@pytest.mark.timeout(120 + 5 * MANY)
async def test_many_breaks_leave_no_more_than_few_did(pod_behind: tuple[SshPod, BadNetwork]) -> None:
    pod, network = pod_behind
    ways: list[Callable[[], object]] = [
        network.reset,
        lambda: kill_links(pod),
        lambda: None,
    ]
    async with Fleet(fleet_config(pod)) as fleet, followed_log(fleet, pod, rate=500):
        few: Held | None = None
        for number in range(MANY):
            if number == FEW:
                few = await held(fleet)
            await _break(fleet, ways[number % len(ways)])
        many = await held(fleet)
    assert few is not None
    print(f"after {FEW} breaks {few}; after {MANY} {many}")
    assert many.descriptors <= few.descriptors
    assert not many.more_than(few)
    assert all(many.objects[f"podops.{name}"] == 1 for name in ("link.client.LinkClient", "transport.ssh.SshProcess"))


async def _break(fleet: Fleet, way: Callable[[], object]) -> None:
    """Lose the link with a request under way, and have the next one at once."""
    client = await fleet.link("pod").client()
    asking = asyncio.create_task(fleet.run_records("pod", "long"))
    await asyncio.to_thread(way)
    client.give_up("a test")
    with contextlib.suppress(PodopsError):
        await asking
    await shows(fleet, "pod", lambda seen: seen.state != "live", "the loss")
    while fleet.snapshot.pods["pod"].state != "live":
        fleet.retry("pod")
        await asyncio.sleep(0.05)
