"""An attempt that waits for a person has longer, and no longer than a person gets."""

from __future__ import annotations

import asyncio

import pytest

from podops.fleet import patience


async def attempt(asks: list[str], told: list[str], work: asyncio.Event, seconds: float) -> None:
    async with asyncio.timeout(seconds) as limit:
        with patience.patient(limit, seconds, lambda: asks[0], told.append):
            await work.wait()


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_LOOK_S", 0.01)


async def test_what_a_person_takes_does_not_count_and_the_pod_has_its_time_afterwards() -> None:
    asks, told, work = ["touch it"], [""], asyncio.Event()
    trying = asyncio.create_task(attempt(asks, told, work, 1.0))
    done, _ = await asyncio.wait([trying], timeout=2.0)
    assert not done and told == ["", "touch it"]
    asks[0] = ""
    with pytest.raises(TimeoutError):
        await trying
    assert told == ["", "touch it", ""]


async def test_a_person_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 0.1)
    with pytest.raises(TimeoutError):
        await attempt(["touch it"], [], asyncio.Event(), 600.0)


async def test_whoever_waits_for_its_turn_has_not_begun() -> None:
    queues, work = [True], asyncio.Event()

    async def attempt_in_turn() -> None:
        async with asyncio.timeout(0.7) as limit:
            with patience.patient(limit, 0.7, str, lambda _: None, lambda: queues[0]):
                await work.wait()

    trying = asyncio.create_task(attempt_in_turn())
    done, _ = await asyncio.wait([trying], timeout=1.0)
    assert not done
    queues[0] = False
    with pytest.raises(TimeoutError):
        await trying
