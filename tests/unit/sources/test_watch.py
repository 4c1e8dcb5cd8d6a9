"""Several `ops` processes that ask the same source."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.pods.loopback import wait_for

from podops.config.model import PodConfig, PodSource, ProjectConfig
from podops.fleet.fleet import Fleet
from podops.fleet.source_watch import SourceWatch
from podops.sources.answers import SourceAnswer, keep, recall
from podops.sources.mapping import Mapped


async def test_an_answer_that_comes_late_replaces_no_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path / "state"))
    program = tmp_path / "cloud"
    waits = f"touch {tmp_path}/asked; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    program.write_text(f"#!/bin/sh\n{waits}\necho '[]'\n")
    program.chmod(0o755)
    source = PodSource("cloud", (str(program),), {"name": "n", "ssh": "s"})
    config = ProjectConfig("x", "/o", pod_sources=(source,))
    watch = SourceWatch(config, lambda: None)
    task = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(60):
            await asyncio.to_thread(wait_for, (tmp_path / "asked").exists, "the source to be asked")
            made = PodConfig("made", ssh="made", source="cloud")
            newer = SourceAnswer("cloud").after(Mapped((made,)), source, time.time())
            keep(config, {"cloud": newer})
            (tmp_path / "go").touch()
            await watch.settled.wait()
        assert [pod.name for pod in watch.answers["cloud"].pods] == ["made"]
        assert recall(config)["cloud"] == newer
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_nobody_waits_longer_for_a_source_than_for_any_other_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path / "state"))
    source = PodSource("cloud", ("sleep", "600"), {"name": "n", "ssh": "s"}, timeout_s=600.0)
    async with Fleet(ProjectConfig("x", "/o", pod_sources=(source,)), answer_timeout=0.1) as fleet:
        async with asyncio.timeout(60):
            await fleet.settled(600)
        assert [one.state for one in fleet.snapshot.sources] == ["asking"]
