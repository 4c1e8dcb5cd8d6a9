"""The same faults with real packets: a pod in a network namespace of its own, where this machine allows one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from podops.config.model import PodConfig
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot
from podops.link.local_changes import watch_network
from podops.transport.base import Transport
from podops.transport.choose import transport_for, transport_for_a_command
from tests.faults.network.followed_log import followed_log
from tests.faults.network.namespace import Namespace, network_of_our_own, why_not
from tests.pods.conftest import MakeSshPod
from tests.pods.fleet_config import fleet_config, shows
from tests.pods.loopback import SshPod, wait_for

Apart = tuple[SshPod, Namespace]


def live(pod: PodSnapshot) -> bool:
    return pod.state == "live"


def away(pod: PodSnapshot) -> bool:
    return pod.state == "unreachable"


@pytest.fixture
def pod_apart(ssh_pod: MakeSshPod) -> Iterator[Apart]:
    if reason := why_not():
        pytest.skip(reason)
    namespace = Namespace()
    with network_of_our_own():
        try:
            namespace.create()
            yield ssh_pod(address=namespace.address, prefix=namespace.prefix), namespace
        finally:
            namespace.remove()


@pytest.mark.parametrize(
    ("cut", "mend", "within"),
    [
        pytest.param(Namespace.pull_cable, Namespace.plug_cable, 10.0, id="a pulled cable"),
        pytest.param(Namespace.swallow_everything, Namespace.let_through, 10.0, id="a black hole"),
        pytest.param(Namespace.reset_connections, Namespace.let_through, 5.0, id="a reset"),
    ],
)
async def test_a_broken_way_is_told_in_time_and_used_again_once_it_is_whole(
    pod_apart: Apart, cut: Callable[[Namespace], None], mend: Callable[[Namespace], None], within: float
) -> None:
    pod, namespace = pod_apart
    async with Fleet(fleet_config(pod)) as fleet, followed_log(fleet, pod):
        begun = time.monotonic()
        cut(namespace)
        await shows(fleet, "pod", away, "the loss")
        assert time.monotonic() - begun < within
        mend(namespace)
        await shows(fleet, "pod", live, "the pod again")


async def test_an_address_of_this_machine_that_changes_is_noticed_before_silence_is(pod_apart: Apart) -> None:
    pod, namespace = pod_apart
    async with Fleet(fleet_config(pod)) as fleet, followed_log(fleet, pod):
        begun = time.monotonic()
        namespace.change_our_address()
        await shows(fleet, "pod", away, "the loss")
        assert time.monotonic() - begun < 6.0
        await shows(fleet, "pod", live, "the pod again")


async def test_a_network_that_comes_back_is_used_at_once(pod_apart: Apart) -> None:
    pod, namespace = pod_apart
    async with Fleet(fleet_config(pod)) as fleet:
        begun = time.monotonic()
        await shows(fleet, "pod", live, "the pod")
        connecting_s = time.monotonic() - begun
        namespace.swallow_everything()
        await shows(fleet, "pod", away, "the loss")
        await shows(fleet, "pod", lambda seen: seen.retry_at is None, "an attempt that hangs")
        namespace.let_through()
        begun = time.monotonic()
        namespace.change_our_address()
        await shows(fleet, "pod", live, "the pod again")
        assert time.monotonic() - begun < 4.0 + 2 * connecting_s


@pytest.mark.parametrize("choose", [transport_for, transport_for_a_command(1)], ids=["an app", "a command"])
async def test_a_login_under_way_goes_on_when_something_else_of_the_network_changes(
    pod_apart: Apart, choose: Callable[[PodConfig], Transport]
) -> None:
    pod, namespace = pod_apart
    (pod.home / ".bashrc").write_text(f"until [ -e {pod.root}/go ]; do sleep 0.05; done\n")
    told = asyncio.Event()
    witness = asyncio.create_task(watch_network(told.set))
    async with Fleet(fleet_config(pod), choose=choose) as fleet:
        await asyncio.to_thread(wait_for, lambda: pod.logins() == 1, "the login")
        namespace.take_another_address()
        await told.wait()
        (pod.root / "go").touch()
        await shows(fleet, "pod", live, "the pod")
    witness.cancel()
    assert pod.logins() == 1


async def test_a_line_of_100_kbit_that_loses_packets(pod_apart: Apart) -> None:
    pod, namespace = pod_apart
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        namespace.limit("100kbit")
        namespace.lose(3)
        async with followed_log(fleet, pod, rate=30_000):
            assert not await fleet.until(lambda: not live(fleet.snapshot.pods["pod"]), 12)
            namespace.let_through()
            namespace.unlimit()


async def test_a_line_with_300_ms_that_loses_packets(pod_apart: Apart) -> None:
    pod, namespace = pod_apart
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        if not namespace.can_delay():
            pytest.skip("this kernel has no netem; the same is shown by test_bad_networks.py on loopback")
        async with followed_log(fleet, pod):
            assert not await fleet.until(lambda: not live(fleet.snapshot.pods["pod"]), 12)
            namespace.delay_no_more()
