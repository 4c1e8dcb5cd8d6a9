"""`make soak MINUTES=30`: many pods, a random fault every few seconds, and nothing may be lost or grow.

As a part of all tests it takes a minute; `OPS_SOAK_MINUTES` and `OPS_SOAK_PODS` say otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import uuid
from pathlib import Path

import pytest

from podops.fleet.fleet import Fleet
from podops.history.collect import ends_collected
from podops.history.history import History
from podops.history.notes import LogTail
from tests.faults.held import Held
from tests.faults.soak import pods_hold
from tests.faults.soak.soaked_fleet import Soak, soaked, told
from tests.pods.loopback import end_leftovers, wait_for

MINUTES = float(os.environ.get("OPS_SOAK_MINUTES", "1"))
PODS = int(os.environ.get("OPS_SOAK_PODS", "6"))

#: Between two faults, and between two requests, seconds.
_FAULT_S, _REQUEST_S = (0.5, 4.0), (1.0, 4.0)


@pytest.mark.timeout(MINUTES * 60 + 600)
async def test_after_many_faults_no_run_is_lost_no_byte_is_missing_and_nothing_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = f"podops-test-{uuid.uuid4().hex[:8]}"
    trouble: list[str] = []
    history = History("t", tmp_path / "history", 2**26, trouble.append)
    try:
        async with soaked(tmp_path, PODS, socket) as soak:
            halfway, at_the_end = await _soak(soak, history)
            await asyncio.to_thread(soak.check, monkeypatch)
            runs = sum(len(pod.runs.runs) for pod in soak.pods)
            print(f"every invariant of {runs} runs held")
            await asyncio.to_thread(wait_for, lambda: not pods_hold.sessions(socket), "the end of every session")
    finally:
        history.close()
        end_leftovers(tmp_path)
    assert not trouble
    assert at_the_end.descriptors <= halfway.descriptors + 2
    # The ends of logs are kept for half a minute after they were written: of a run or two of each pod at any time.
    most = {f"{LogTail.__module__}.{LogTail.__qualname__}": 2 * len(soak.pods)}
    grown = at_the_end.more_than(halfway)
    assert all(count <= most.get(kind, 2) for kind, count in grown.items()), grown
    # What the runs of the second half take, and what the allocator keeps.
    assert at_the_end.rss_mib <= halfway.rss_mib + 8 + MINUTES / 10


async def _soak(soak: Soak, history: History) -> tuple[Held, Held]:
    """What was held halfway and in the end, while every pod was live. `history` is told everything, as by the app."""
    async with Fleet(soak.config, connect_timeout=20, memory=history) as fleet, ends_collected(fleet):
        await fleet.settled(60)
        for pod in soak.pods:
            await soak.submit(fleet, pod, pod.followed, "--every 0.05")
        following = [asyncio.create_task(soak.follow(fleet, pod)) for pod in soak.pods]
        telling = asyncio.create_task(_tell(soak))
        halfway = await _faults(soak, fleet, MINUTES * 30)
        print(f"\nhalfway {halfway}")
        at_the_end = await _faults(soak, fleet, MINUTES * 30)
        print(f"in the end {at_the_end}\n{MINUTES:g} minutes, {len(soak.pods)} pods: {told(soak.done)}")
        for one in await pods_hold.settled(soak.pods):
            print(one)
        for pod in soak.pods:
            pod.runs.finish(next(run for run in pod.every_run() if run.run_id == pod.followed))
        async with asyncio.timeout(60):
            await asyncio.gather(*following)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    return halfway, at_the_end


async def _tell(soak: Soak) -> None:
    """Print now and then what is held, to see how it grows."""
    while True:
        await asyncio.sleep(MINUTES * 60 / 15)
        runs = sum([len(list(pod.runs.outputs.iterdir())) for pod in soak.pods])
        print(f"{soak.faults} faults, {runs} runs: {Held.now()}", flush=True)


async def _faults(soak: Soak, fleet: Fleet, seconds: float) -> Held:
    """Do random faults and requests for so long; what is held once all pods are live again."""
    end = time.monotonic() + seconds

    async def requests() -> None:
        while time.monotonic() < end:
            await asyncio.sleep(random.uniform(*_REQUEST_S))
            await soak.one_request(fleet)

    asking = asyncio.create_task(requests())
    while time.monotonic() < end:
        await asyncio.sleep(random.uniform(*_FAULT_S))
        await soak.one_fault()
    await soak.mended()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await soak.all_live(fleet)
    return await Held.least()
