"""The one timer that looks at all links."""

from __future__ import annotations

import asyncio

import pytest

from podops.link import pulse
from podops.link.pulse import look_each_tick


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "TICK_S", 0.05)


async def test_each_is_looked_at_once_a_tick_and_not_all_in_the_same_moment() -> None:
    order: list[int] = []
    stops = [look_each_tick(lambda number=number: order.append(number)) for number in range(20)]  # type: ignore[misc]
    turns: list[int] = []
    async with asyncio.timeout(60):
        while len(order) < 60:
            before = len(order)
            await asyncio.sleep(0)
            turns.append(len(order) - before)
    for stop in stops:
        stop()
    assert sorted(order[:20]) == sorted(order[20:40]) == list(range(20))
    assert max(turns) < 20


async def test_who_has_left_is_looked_at_no_more_also_from_within_a_look() -> None:
    looked: list[str] = []

    def once() -> None:
        looked.append("once")
        stop_once()

    stop_once = look_each_tick(once)
    stop = look_each_tick(lambda: looked.append("always"))
    async with asyncio.timeout(60):
        while looked.count("always") < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    stop()
    stop()
    assert looked.count("once") == 1
