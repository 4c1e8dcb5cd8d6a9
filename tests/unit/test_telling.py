"""How often a fleet tells those who listen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podops.config.model import PodConfig, ProjectConfig
from podops.fleet.fleet import Fleet
from podops_runners.frames import Frame

SAMPLE: dict[str, Any] = {"push": "sample", "host": {"time": 1.0}, "gpus": {}}


async def test_samples_of_many_pods_are_told_together_and_a_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # No test of it takes so long, however busy its machine is.
    monkeypatch.setattr("podops.fleet.fleet._SAMPLES_S", 600.0)
    pods = {f"pod-{n}": PodConfig(f"pod-{n}", local=True, outputs_dir="/x") for n in range(3)}
    fleet = Fleet(ProjectConfig("p", "/x", pods=pods))
    told: list[frozenset[str]] = []
    fleet.subscribe(told.append)

    def say(pod: str, push: dict[str, Any]) -> None:
        fleet.link(pod)._take_push(Frame(push, b""))

    say("pod-0", SAMPLE)
    await asyncio.sleep(0.001)
    assert told == [{"pod-0"}]
    say("pod-1", SAMPLE)
    await asyncio.sleep(0)
    say("pod-2", SAMPLE)
    await asyncio.sleep(0)
    assert told == [{"pod-0"}]
    say("pod-0", {"push": "runs", "full": True, "changed": []})
    await asyncio.sleep(0.001)
    assert told == [{"pod-0"}, {"pod-0", "pod-1", "pod-2"}]
    monkeypatch.setattr("podops.fleet.fleet._SAMPLES_S", 0.05)
    say("pod-1", SAMPLE)
    async with asyncio.timeout(60):
        while len(told) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert told[2] == {"pod-1"}
