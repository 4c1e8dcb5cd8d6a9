"""Keys in hardware (FIDO), with a stand-in for the security key alone: `ssh`, the agent and sshd are the real ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from podops.doctor.ssh import ssh_checks
from podops.fleet.fleet import Fleet
from podops.transport import early
from podops.transport.openssh import OpenSshTransport
from podops.transport.security_keys import tell_with
from tests.pods.bare_link import failure
from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, StartOps
from tests.pods.fleet_config import fleet_config, pod_config, shows
from tests.pods.loopback import make_key
from tests.pods.security_key import SecurityKey
from tests.pods.ssh_agent import agent_with


@pytest.fixture
def key(world: Path) -> SecurityKey:
    return SecurityKey(world)


@pytest.mark.parametrize("kind", ["ed25519-sk", "ecdsa-sk"])
def test_a_command_says_when_to_touch_the_key_as_ssh_does_and_waits_for_it(
    ssh_pod: MakeSshPod, project: MakeProject, open_ops: OpenOps, key: SecurityKey, kind: str
) -> None:
    pod = ssh_pod()
    key.opens(pod, kind=kind)
    key.leave()
    project(pod)
    terminal = open_ops("pod", "list", "--json")
    terminal.wait_for(f"Confirm user presence for key {kind.upper()} SHA256:")
    key.touch()
    assert terminal.ended() == 0
    assert b'"live"' in terminal.output and terminal.output.count(b"Confirm") == 1
    assert (key.touches, pod.logins()) == (1, 1)


def test_a_command_for_several_pods_asks_for_one_touch_after_the_other(
    ssh_pod: MakeSshPod, project: MakeProject, open_ops: OpenOps, key: SecurityKey
) -> None:
    pods = ssh_pod("a"), ssh_pod("b"), ssh_pod("c")
    key.opens(*pods)
    project(*pods)
    key.leave()
    terminal = open_ops("pod", "list", "--json")
    # The others find the key in use, and may be heard to ask, too, before they do.
    terminal.wait_for("Confirm user presence")
    key.touch()
    assert terminal.ended() == 0
    assert terminal.output.count(b'"live"') == 3, terminal.output.decode()
    assert key.touches == sum(pod.logins() for pod in pods) == 3


async def test_logins_that_find_the_key_in_use_come_after_one_whose_question_is_heard_of_late(
    ssh_pod: MakeSshPod, key: SecurityKey, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = ssh_pod("a"), ssh_pod("b"), ssh_pod("c")
    key.opens(*pods)
    key.leave()
    late = world / "late-askpass"
    late.write_text(f'#!/bin/sh\nsleep 0.5\nexec {early._ASKPASS} "$@"\n')
    late.chmod(0o700)
    monkeypatch.setattr(early, "_ASKPASS", late)
    asked = asyncio.Event()
    tell_with(lambda _words: asked.set())
    try:
        logins = [asyncio.create_task(OpenSshTransport(pod_config(pod)).start("echo in")) for pod in pods]
        async with asyncio.timeout(60):
            await asked.wait()
            key.touch()
            for process in await asyncio.gather(*logins):
                assert await process.read(9) == b"in\n"
                await process.close()
    finally:
        tell_with(None)


def test_a_key_that_is_not_there_or_not_touched_is_named_and_not_asked_again(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, key: SecurityKey
) -> None:
    pod = ssh_pod()
    handle = key.opens(pod)
    project(pod)
    key.tire()
    refused = ops("pod", "list", "--json").json["pods"][0]
    assert refused["state"] == "refused" and f"no signature from the security key {handle}: " in refused["reason"]
    assert key.touches == 1
    key.unplug()
    assert f"no signature from the security key {handle}: device not found" in ops("pod", "list").stdout
    assert key.touches == 1


async def test_the_app_uses_the_key_through_an_agent_and_tells_that_it_waits_for_a_touch(
    ssh_pod: MakeSshPod, key: SecurityKey, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = ssh_pod("a"), ssh_pod("b")
    handle = key.opens(*pods)
    key.leave()
    monkeypatch.setattr("podops.fleet.pod_link._PROBE_S", 0.0)
    with agent_with(world) as agent:
        key.add_to(agent, handle)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        async with Fleet(fleet_config(*pods)) as fleet:
            # The agent serves one of them at a time.
            asks = "touch the security key ED25519-SK SHA256:"
            assert await fleet.until(lambda: any(asks in pod.reason for pod in fleet.snapshot.pods.values()), 60)
            assert {pod.state for pod in fleet.snapshot.pods.values()} == {"connecting"}
            for pod in pods:  # a VPN that comes up, a container that is started: no reason to ask for another touch
                fleet.link(pod.name).network_changed()
            await asyncio.sleep(0)
            key.touch()
            await fleet.settled(15)
            assert [pod.state for pod in fleet.snapshot.pods.values()] == ["live", "live"]
        assert key.touches == sum(pod.logins() for pod in pods) == 2


async def test_the_app_asks_once_for_a_key_that_nobody_touches_and_again_only_when_it_is_told_to(
    ssh_pod: MakeSshPod, key: SecurityKey, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podops.fleet.patience.PATIENCE_S", 2.0)
    pod = ssh_pod()
    handle = key.opens(pod)
    key.leave()
    with agent_with(world) as agent:
        key.add_to(agent, handle)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        async with Fleet(fleet_config(pod)) as fleet:
            seen = await shows(fleet, "pod", lambda pod: pod.state == "refused", "a refusal")
            assert "for somebody: touch the security key ED25519-SK SHA256:" in seen.reason and seen.retry_at is None
            assert key.touches == 1
            key.tire()
            key.touch()
            fleet.retry("pod")
            seen = await shows(fleet, "pod", lambda pod: "got none" in pod.reason, "another refusal")
            assert seen.state == "refused" and "no signature from the security key ED25519-SK SHA256:" in seen.reason
            assert key.touches == 2


async def test_a_refusal_names_the_key_that_was_tried_and_the_one_that_could_not_be(
    ssh_pod: MakeSshPod, key: SecurityKey, world: Path
) -> None:
    pod, ordinary = ssh_pod(), make_key(world / "ordinary")
    handle = key.opens(pod)
    pod.ssh_config.write_text(f"{pod.ssh_config.read_text()}  IdentityFile {ordinary}\n")
    refused = await failure(pod)
    assert f"; tried {ordinary}; not {handle}, which lies in a security key" in refused.message
    assert f"add {ordinary}.pub to" in refused.hint and f"ssh-add {handle}" in refused.hint
    assert key.touches == 0


async def test_the_doctor_tells_of_a_key_that_only_commands_can_use(
    ssh_pod: MakeSshPod, key: SecurityKey, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = ssh_pod()
    handle = key.opens(pod)
    (told,) = [check for check in await ssh_checks([pod_config(pod)]) if check.what == "identity"]
    assert (told.level, told.hint) == ("warn", f"ssh-add {handle}") and "the app cannot" in told.message
    with agent_with(world) as agent:
        key.add_to(agent, handle)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        assert {check.level for check in await ssh_checks([pod_config(pod)])} == {"ok"}
    assert key.touches == 0


async def test_the_app_says_how_to_use_a_key_that_no_agent_holds_and_then_does(
    ssh_pod: MakeSshPod, key: SecurityKey, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = ssh_pod()
    handle = key.opens(pod)
    with agent_with(world) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        async with Fleet(fleet_config(pod)) as fleet:
            seen = await shows(fleet, "pod", lambda pod: pod.state == "refused", "a refusal")
            assert f"the key {handle} lies in a security key" in seen.reason and f"ssh-add {handle}" in seen.hint
            assert key.touches == 0
            key.add_to(agent, handle)
            fleet.retry("pod")
            await shows(fleet, "pod", lambda pod: pod.state == "live", "the link")
        assert (key.touches, pod.logins()) == (1, 1)


def test_commands_that_share_a_link_ask_for_no_touch(
    ssh_pod: MakeSshPod, project: MakeProject, start_ops: StartOps, ops: Ops, key: SecurityKey, world: Path
) -> None:
    pod = ssh_pod()
    handle = key.opens(pod)
    project(pod)
    with agent_with(world) as agent:
        key.add_to(agent, handle)
        watch = start_ops("watch", env={"SSH_AUTH_SOCK": str(agent)})
        watch.read_until(b"live")
        for _ in range(3):
            assert ops("pod", "list", "--json").json["pods"][0]["state"] == "live"
        assert (key.touches, pod.logins()) == (1, 1)
        watch.end()
