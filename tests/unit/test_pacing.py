"""How many pods are connected to at once."""

from __future__ import annotations

import asyncio

from podops.fleet.pacing import Gate


async def test_one_pod_begins_alone_then_a_few_and_each_that_makes_room_lets_more_begin_up_to_the_bound() -> None:
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
