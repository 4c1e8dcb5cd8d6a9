"""Whoever holds links for others, for weeks, keeps nothing of the commands that came and went."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from podops.config.load import load_project
from podops.config.model import ProjectConfig
from podops.fleet.fleet import Fleet
from podops.sharing.holder import Holder
from podops.sharing.shared_pod import SharedLinks
from podops_runners.rundir import RunDir
from tests.faults.held import Held
from tests.pods.conftest import MakeProject
from tests.pods.fleet_config import hand_made_run, shows
from tests.pods.loopback import link_processes

FEW, MANY = 5, int(os.environ.get("OPS_CLIENTS", "40"))


#: So many threads a link may still start for its requests; it keeps them.
_WORKERS = 8


@pytest.fixture
def config(project: MakeProject, client_home: Path) -> ProjectConfig:
    log = hand_made_run(client_home / "runs", "long")
    log.write_bytes(b"a line\n")
    held = Path(RunDir(str(log.parent)).held)  # which nobody takes for lost
    held.parent.mkdir()
    held.touch()
    return load_project(path=project("here").file)


def link_threads(home: Path) -> int:
    """Of the pod's side; each log that is followed has one."""
    (link,) = link_processes(home)
    return sum(1 for _ in Path(f"/proc/{link}/task").iterdir())


async def test_of_many_clients_a_holder_and_its_link_keep_no_more_than_of_few(
    config: ProjectConfig, client_home: Path
) -> None:
    async with Fleet(config) as fleet:
        await shows(fleet, "here", lambda seen: seen.state == "live" and seen.listed, "the pod")
        holder = Holder(fleet, config, os.environ, "a test")
        await holder.start()
        try:
            few = await _held_after(FEW, config)
            threads = link_threads(client_home)
            many = await _held_after(MANY, config)
            begun = time.monotonic()
            # On a busy machine an answer may be on its way for seconds; what is kept stays.
            while many.more_than(few) and time.monotonic() - begun < 60:
                many = await Held.least()
            assert link_threads(client_home) <= threads + _WORKERS
        finally:
            await holder.stop()
    print(f"after {FEW} clients {few}; after {MANY} more {many}")
    assert many.descriptors <= few.descriptors
    assert not many.more_than(few)


async def _held_after(clients: int, config: ProjectConfig) -> Held:
    for number in range(clients):
        await _one_client(config, leaves=number % 2 == 0)
    return await Held.least()


async def _one_client(config: ProjectConfig, leaves: bool) -> None:
    """Follow a log over the holder's link; one that `leaves` says so, another is cut off."""
    async with Fleet(config, sharer=SharedLinks(config, os.environ).open) as fleet:
        await shows(fleet, "here", lambda seen: seen.listed, "the runs")
        link = fleet.link("here")
        assert link.shared
        await fleet.run_records("here", "long")
        async with fleet.follow("here", "long", offset=0) as stream:
            chunk = await anext(aiter(stream))
            assert chunk.data == b"a line\n"
            if not leaves:
                (await link.client()).give_up("a test")
