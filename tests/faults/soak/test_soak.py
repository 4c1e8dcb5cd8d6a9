"""`make soak MINUTES=30`: many pods, a random fault every few seconds, and nothing may be lost or grow.

As a part of all tests it takes a minute; `OPS_SOAK_MINUTES` and `OPS_SOAK_PODS` say otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from podops.fleet.fleet import Fleet
from tests.faults.soak.soaked_fleet import Soak, soaked, told
from tests.pods.loopback import end_leftovers

MINUTES = float(os.environ.get("OPS_SOAK_MINUTES", "1"))
PODS = int(os.environ.get("OPS_SOAK_PODS", "6"))

#: Between two faults, and between two requests, seconds.
_FAULT_S, _REQUEST_S = (0.5, 4.0), (1.0, 4.0)


@dataclass(frozen=True)
class Held:
    """What this process holds while every pod is live and nothing is asked."""

    rss_mib: float
    tasks: int
    descriptors: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return cls(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(asyncio.all_tasks()), descriptors)


@pytest.mark.timeout(MINUTES * 60 + 600)
async def test_after_many_faults_no_run_is_lost_no_byte_is_missing_and_nothing_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        async with soaked(tmp_path, PODS, f"podops-test-{uuid.uuid4().hex[:8]}") as soak:
            halfway, at_the_end = await _soak(soak)
            await asyncio.to_thread(soak.check, monkeypatch)
            runs = sum(len(pod.runs.runs) for pod in soak.pods)
            print(f"every invariant of {runs} runs held")
    finally:
        end_leftovers(tmp_path)
    assert at_the_end.tasks <= halfway.tasks + 2 and at_the_end.descriptors <= halfway.descriptors + 2
    # What the runs of the second half take, what the networks keep of forgotten connections, what the allocator keeps.
    assert at_the_end.rss_mib <= halfway.rss_mib + 8 + 2 * MINUTES / 10


async def _soak(soak: Soak) -> tuple[Held, Held]:
    async with Fleet(soak.config, connect_timeout=20) as fleet:
        await fleet.settled(60)
        for pod in soak.pods:
            await soak.submit(fleet, pod, pod.followed, "--every 0.05")
        following = [asyncio.create_task(soak.follow(fleet, pod)) for pod in soak.pods]
        halfway = await _faults(soak, fleet, MINUTES * 30)
        at_the_end = await _faults(soak, fleet, MINUTES * 30)
        for pod in soak.pods:
            pod.runs.finish(next(run for run in pod.every_run() if run.run_id == pod.followed))
        async with asyncio.timeout(60):
            await asyncio.gather(*following)
    print(f"\n{MINUTES:g} minutes, {len(soak.pods)} pods: {told(soak.done)}")
    print(f"halfway {halfway}\nin the end {at_the_end}")
    return halfway, at_the_end


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
    await asyncio.sleep(3.0)
    return Held.now()
