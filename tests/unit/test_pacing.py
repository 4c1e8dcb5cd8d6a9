"""How many pods are connected to at once."""

from __future__ import annotations

import asyncio

import pytest

from podops.fleet import pacing
from podops.fleet.pacing import Gate


async def test_one_pod_begins_alone_then_a_few_and_each_that_makes_room_lets_more_begin_up_to_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What lets others begin in any case comes too late to be seen here.
    monkeypatch.setattr(pacing, "_ALONE_S", 600.0)
    monkeypatch.setattr(pacing, "_LEASE_S", 600.0)
    gate, end = Gate(6), asyncio.Event()
    inside = most = 0

    async def connect(done: asyncio.Event) -> None:
        nonlocal inside, most
        async with gate.place() as leave:
            inside += 1
            most = max(most, inside)
            await done.wait()
            inside -= 1
            leave()

    first = asyncio.Event()
    tasks = [asyncio.create_task(connect(first if number < 4 else end)) for number in range(20)]
    for expected in (1, 4):
        for _ in range(5):
            await asyncio.sleep(0)
        assert inside == expected
        gate.open()
    first.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert inside == most == 6
    end.set()
    await asyncio.gather(*tasks)
    assert most == 6


async def test_who_only_waits_for_a_network_keeps_nobody_else_from_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_LEASE_S", 600.0)
    gate, end, inside, all_inside = Gate(6), asyncio.Event(), {True: 0, False: 0}, asyncio.Event()

    async def connect(elsewhere: bool) -> None:
        async with gate.place(elsewhere=elsewhere):
            inside[elsewhere] += 1
            if inside[True] == 30:
                all_inside.set()
            await end.wait()

    tasks = [asyncio.create_task(connect(number % 2 == 0)) for number in range(60)]
    async with asyncio.timeout(60):
        await all_inside.wait()
    assert inside[False] <= 6
    end.set()
    await asyncio.gather(*tasks)


async def test_a_place_that_nobody_waits_for_any_more_is_the_next_ones() -> None:
    gate, end = Gate(1), asyncio.Event()

    async def connect() -> None:
        async with gate.place():
            await end.wait()

    tasks = [asyncio.create_task(connect()) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    end.set()
    async with asyncio.timeout(60):
        await tasks[2]
