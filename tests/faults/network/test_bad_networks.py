"""On a bad network: what the user sees and how soon, and that every byte of a log arrives once it is good again.

How long connecting takes is a matter of this machine; where it is a part of what is measured, it may take twice as long
as it did at first (`connecting_s`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from podops.fleet.fleet import Fleet
from podops.fleet.pacing import Backoff
from podops.fleet.snapshot import PodSnapshot
from podops.link import local_changes
from tests.faults.network.bad_network import BadNetwork, Conditions
from tests.faults.network.followed_log import followed_log
from tests.pods.fleet_config import fleet_config, shows
from tests.pods.loopback import SshPod, link_processes, wait_for

Behind = tuple[SshPod, BadNetwork]


def live(pod: PodSnapshot) -> bool:
    return pod.state == "live"


def not_live(pod: PodSnapshot) -> bool:
    return pod.state != "live"


def away(pod: PodSnapshot) -> bool:
    return pod.state == "unreachable"


async def seconds_until(fleet: Fleet, condition: Callable[[PodSnapshot], bool], what: str) -> float:
    begun = time.monotonic()
    await shows(fleet, "pod", condition, what)
    return time.monotonic() - begun


async def test_a_pulled_cable_is_seen_within_ten_seconds_and_healed_when_it_is_back(pod_behind: Behind) -> None:
    pod, network = pod_behind
    async with Fleet(fleet_config(pod)) as fleet, followed_log(fleet, pod):
        network.stop()
        seen = await shows(fleet, "pod", not_live, "the silence")
        assert seen.state == "stale" and "silent for 5 s" in seen.reason and seen.last_seen is not None
        assert await seconds_until(fleet, away, "the loss") < 5.0
        seen = fleet.snapshot.pods["pod"]
        assert seen.reason and seen.retry_at is not None and "long" in seen.runs
        network.go()
        await shows(fleet, "pod", live, "the pod again")


async def test_a_pod_side_whose_client_is_silently_gone_ends_by_itself(pod_behind: Behind) -> None:
    pod, network = pod_behind
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        assert link_processes(pod.home)
        network.stop()
    await asyncio.to_thread(wait_for, lambda: not link_processes(pod.home), "the pod side to end")


async def test_connections_a_nat_forgot_are_replaced(pod_behind: Behind) -> None:
    pod, network = pod_behind
    async with Fleet(fleet_config(pod)) as fleet, followed_log(fleet, pod):
        network.forget()
        assert await seconds_until(fleet, away, "the loss") < 10.0
        await shows(fleet, "pod", live, "the pod again")


async def test_a_reset_is_seen_and_healed_at_once(pod_behind: Behind) -> None:
    pod, network = pod_behind
    async with Fleet(fleet_config(pod)) as fleet:
        connecting_s = await seconds_until(fleet, live, "the pod")
        async with followed_log(fleet, pod):
            await asyncio.sleep(3)
            for _ in range(3):
                begun = time.monotonic()
                assert network.reset()
                await shows(fleet, "pod", not_live, "the loss")
                await shows(fleet, "pod", live, "the pod again")
                assert time.monotonic() - begun < 4.0 + 2 * connecting_s


async def test_a_machine_that_slept_connects_at_once(pod_behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    pod, network = pod_behind
    slept_s = 0.0
    monkeypatch.setattr(local_changes, "asleep_s", lambda: slept_s)
    async with Fleet(fleet_config(pod)) as fleet:
        connecting_s = await seconds_until(fleet, live, "the pod")
        async with followed_log(fleet, pod):
            await asyncio.sleep(1.1)
            network.forget()
            slept_s = 3600.0
            begun = time.monotonic()
            seen = await shows(fleet, "pod", away, "the loss")
            assert "this machine slept for 3600 s" in seen.reason
            await shows(fleet, "pod", live, "the pod again")
            assert time.monotonic() - begun < 4.0 + 2 * connecting_s


async def test_a_pod_that_is_away_for_a_while_is_asked_again_with_growing_patience(
    pod_behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod, network = pod_behind
    async with Fleet(fleet_config(pod)) as fleet:
        connecting_s = await seconds_until(fleet, live, "the pod")
        async with followed_log(fleet, pod):
            waits: list[float] = []
            after_failure = Backoff.after_failure

            def noted(backoff: Backoff) -> float:
                waits.append(after_failure(backoff))
                return waits[-1]

            monkeypatch.setattr(Backoff, "after_failure", noted)
            network.refuse()
            network.reset()
            assert await fleet.until(lambda: len(waits) == 3, 60)
            seen = await shows(fleet, "pod", lambda pod: pod.retry_at is not None, "the next attempt's time")
            assert away(seen) and "refused the connection" in seen.reason
            assert seen.retry_at is not None and seen.retry_at <= time.time() + waits[-1]
            assert waits[0] < waits[1] < waits[2]
            network.listen()
            fleet.retry("pod")
            assert await seconds_until(fleet, live, "the pod again, at once on a key") < 3.0 + 2 * connecting_s


@pytest.mark.parametrize(
    ("conditions", "rate", "slower_than_s"),
    [
        (Conditions(latency_s=0.15, loss=0.05), 20_000, 0.25),
        (Conditions(latency_s=0.15, rate=12_500), 10_000, 0.25),
        # Nothing delays an answer here but what the line has before it; on loopback alone it takes 1 or 2 ms.
        (Conditions(rate=12_500), 60_000, 0.02),
    ],
    ids=["300 ms with loss", "100 kbit/s", "a log faster than the line"],
)
async def test_a_slow_network_is_slow_and_never_taken_for_a_dead_one(
    pod_behind: Behind, conditions: Conditions, rate: int, slower_than_s: float
) -> None:
    pod, network = pod_behind
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        network.conditions = conditions
        async with followed_log(fleet, pod, rate):
            states: set[str] = set()
            stop = fleet.subscribe(lambda _: states.add(fleet.snapshot.pods["pod"].state))
            await asyncio.sleep(12)
            stop()
            assert states == {"live"}
            latency = fleet.snapshot.pods["pod"].latency_s
            assert latency is not None and latency > slower_than_s
            network.conditions = Conditions()
