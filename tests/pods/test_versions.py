"""A client and pods of different versions: the pod side is replaced, and what the older one started goes on."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from podops.fleet import pod_link
from podops.fleet.fleet import Fleet
from podops.link.pod_archive import pod_archive
from podops_runners.protocol import PROTOCOL_VERSION
from tests.pods.fleet_config import fleet_config, shows, submit_plan
from tests.pods.loopback import wait_for
from tests.pods.pod_side import PodSide


@pytest.fixture
def used_before() -> bool:
    return False


def older_archive() -> bytes:
    """The pod side as an older version would have shipped it, with a protocol of its own."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pod_archive()[0])) as now, zipfile.ZipFile(content, "w") as older:
        for name in now.namelist():
            data = now.read(name)
            if name == "podops_runners/protocol.py":
                data = data.replace(b"PROTOCOL_VERSION = %d" % PROTOCOL_VERSION, b"PROTOCOL_VERSION = 0")
            older.writestr(name, data)
    return content.getvalue()


def agent() -> dict[str, Any]:
    """The record of this machine's agent; empty while there is none."""
    try:
        record: dict[str, Any] = json.loads(Path(os.environ["PODOPS_STATE_DIR"], "agent.json").read_text())
    except OSError:
        return {}
    return record


async def test_a_run_of_an_older_pod_side_goes_on_under_the_newer_one(client_home: Path, tmux_socket: str) -> None:
    config = fleet_config("near", tmux_socket=tmux_socket)
    pyz = client_home / "older.pyz"
    pyz.write_bytes(older_archive())
    env = {name: os.environ[name] for name in ("HOME", "PODOPS_STATE_DIR", "PATH")}
    older = PodSide(sys.executable, pyz, env=env)
    project = {"name": config.name, "outputs_dir": "~/runs", "layout": {}}
    older.send(id=1, op="hello", protocol=0, projects=[project], pod="near")
    assert older.wait_for(lambda frame: frame.header.get("id") == 1).header["protocol"] == 0
    older.send(id=2, op="submit", spec=submit_plan(config, "near", "old", "echo begun; sleep 600").spec)
    assert older.wait_for(lambda frame: frame.header.get("id") == 2).header["ok"]
    wait_for(lambda: bool(agent()), "the older agent")
    before = agent()

    async with Fleet(config) as fleet:
        await shows(fleet, "near", lambda pod: pod.state == "live" and "old" in pod.runs, "the run of the older one")
        wait_for(lambda: agent().get("agent", before["agent"]) != before["agent"], "a newer agent")
        assert agent()["archive"] != str(pyz)
        await shows(fleet, "near", lambda pod: pod.runs["old"].state == "running", "the run to go on")
        await fleet.kill("near", "old", grace_s=1)
        ended = await shows(fleet, "near", lambda pod: pod.runs["old"].ended, "its end")
        assert (ended.runs["old"].state, ended.runs["old"].reason) == ("cancelled", "user_kill")
    assert older.process.stdin is not None
    older.process.stdin.close()
    assert older.process.wait(60) == 0


async def test_ends_that_speak_different_protocols_say_so(client_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_link, "PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
    async with Fleet(fleet_config("near")) as fleet:
        await fleet.settled(15)
        seen = fleet.snapshot.pods["near"]
        assert seen.state == "unreachable" and "another version of the link protocol" in seen.reason


def test_a_pod_side_refuses_a_client_that_speaks_another_protocol_and_says_which(client_home: Path) -> None:
    pyz = client_home / "podops.pyz"
    pyz.write_bytes(pod_archive()[0])
    side = PodSide(sys.executable, pyz)
    side.send(id=1, op="hello", protocol=PROTOCOL_VERSION + 1, projects=[], pod="near")
    answer = side.wait_for(lambda frame: frame.header.get("id") == 1).header
    assert (answer["ok"], answer["error"]["code"]) == (False, "protocol")
    told = f"the client speaks protocol {PROTOCOL_VERSION + 1}, this pod side {PROTOCOL_VERSION}"
    assert answer["error"]["message"] == told
    side.process.kill()
    side.process.communicate()
