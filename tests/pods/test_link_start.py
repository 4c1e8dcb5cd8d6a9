"""What makes a pod live soon: one command a link, and a pod side that loads what it is asked for and no more."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from podops.fleet.fleet import Fleet
from podops.link.pod_archive import pod_archive
from tests.pods.conftest import MakeSshPod
from tests.pods.fleet_config import fleet_config, shows
from tests.pods.loopback import POD_PATH, end_leftovers, wait_for
from tests.pods.pod_side import PodSide
from tests.pods.stand_in_gpus import StandInNvml

#: Each of them takes a millisecond or more to load, and memory for as long as the link lives.
ONLY_WHEN_ASKED = {
    *("concurrent.futures", "logging", "subprocess", "shutil", "tempfile", "platform", "datetime", "socket", "ctypes"),
    *("asyncio", "runpy", "hashlib", "pynvml", "pynvml_part", "random", "netrc", "shlex"),
    *(
        f"podops_runners.{name}"
        for name in ("launch", "submit", "pod_check", "logstream", "connections", "gpu.nvml_gpus")
    ),
}


@pytest.fixture
def used_before() -> bool:
    return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "podops.pyz").write_bytes(pod_archive()[0])
    yield tmp_path
    end_leftovers(tmp_path)


@pytest.fixture
def compiled(place: Path) -> Iterator[Path]:
    """What starts a link from the compiled copy."""
    copy = place / "podops"
    first = PodSide(sys.executable, place / "podops.pyz")
    try:
        first.hello(place / "runs")
        # The agent it has started unpacks and compiles the pod side; later links find both.
        wait_for((copy / "sizes").exists, "the compiled copy")
        yield copy / "__main__.py"
    finally:
        first.process.kill()
        first.process.communicate()


def loads(place: Path, start: Path, env: Mapping[str, str]) -> set[str]:
    """What a link loads until it has told its runs and two samples."""
    link = PodSide(sys.executable, start, options=("-X", "importtime"), env={**_same_place(place), **env})
    link.hello(place / "runs")
    link.push("runs")
    for _ in range(2):
        link.push("sample")
    link.process.kill()
    told = link.process.communicate()[1].decode()
    return {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}


def test_a_link_that_only_looks_loads_nothing_that_only_work_needs(place: Path, compiled: Path) -> None:
    loaded = loads(place, compiled, {})
    assert {"podops_runners.link_server", "podops_runners.scan", "podops_runners.host"} <= loaded
    assert not loaded & ONLY_WHEN_ASKED


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc makes the stand-in for NVIDIA's library")
def test_a_link_on_a_pod_with_gpus_loads_of_pynvml_the_part_that_is_used(place: Path, compiled: Path) -> None:
    library = StandInNvml(place / "nvml")
    library.install()
    library.say("gpus 2")
    loaded = loads(place, compiled, library.env)
    assert {"ctypes", "pynvml_part"} <= loaded
    # `ctypes.util` brings the last two along, and with them more memory than all of the pod side takes.
    assert not loaded & {"pynvml", "ctypes.util", "subprocess", "shutil"}


def _same_place(place: Path) -> dict[str, str]:
    return {"HOME": str(place), "PODOPS_STATE_DIR": str(place / "state")}


async def test_a_link_is_one_command_on_the_pod_also_where_the_pod_side_is_not_there_yet(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod("far", options=("LogLevel VERBOSE",))
    for links in (1, 2):
        async with Fleet(fleet_config(pod)) as fleet:
            await fleet.settled(20)
            await shows(fleet, "far", lambda far: far.sample is not None, "a sample")
        said = (pod.root / "sshd.log").read_text()
        assert said.count("Accepted publickey") == links
        assert said.count("Starting session: ") == links


async def test_a_pod_is_shown_as_soon_as_it_lets_us_in_before_its_side_of_the_link_runs(
    ssh_pod: MakeSshPod, tmp_path: Path
) -> None:
    ready, slow = tmp_path / "ready", tmp_path / "slow/python3"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\nwhile [ ! -e {ready} ]; do sleep 0.05; done\nexec /usr/bin/env PATH={POD_PATH} python3 "$@"\n'
    )
    slow.chmod(0o755)
    async with Fleet(fleet_config(ssh_pod("far", path=f"{slow.parent}:{POD_PATH}"))) as fleet:
        answers = await shows(fleet, "far", lambda far: "it answers" in far.reason, "the pod to answer")
        assert answers.state == "connecting" and answers.last_seen is not None
        ready.touch()
        live = await shows(fleet, "far", lambda far: far.state == "live", "the pod to be live")
        assert live.reason == ""


async def test_a_pod_has_answered_once_it_has_let_us_in_whatever_becomes_of_our_command(ssh_pod: MakeSshPod) -> None:
    config = fleet_config(ssh_pod("far", options=("MaxSessions 0",)))
    told: list[tuple[str, str]] = []
    async with Fleet(config) as fleet:
        fleet.subscribe(lambda _: told.append((fleet.snapshot.pods["far"].state, fleet.snapshot.pods["far"].reason)))
        far = await shows(fleet, "far", lambda far: far.state == "unreachable", "the session to be refused")
    assert ("connecting", "it answers, its side of the link is starting") in told
    assert far.reason and "it answers" not in far.reason
