"""What a user can rely on when pods come from a provider's own command."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from podops.config.load import load_project
from podops.fleet.fleet import Fleet
from tests.pods.conftest import MakeProject, MakeSshPod, Ops, StartOps
from tests.pods.fleet_config import shows
from tests.pods.loopback import SshPod, wait_for
from tests.pods.provider import Provider


@pytest.fixture
def provider(world: Path) -> Provider:
    return Provider(world / "provider")


@pytest.fixture
def rented(ssh_pod: MakeSshPod, provider: Provider) -> SshPod:
    pod = ssh_pod("rented")
    provider.tell(pod)
    return pod


def test_a_rented_pod_is_there_like_any_other_and_stays_known_when_it_is_gone(
    ops: Ops, project: MakeProject, provider: Provider, rented: SshPod
) -> None:
    project(pod_sources=[provider.source(rented.ssh_config, interval="1h")])
    assert ops("run", "submit", "--preset", "hello", "--pod", "rented", "--run-id", "h1").returncode == 0
    assert ops("run", "wait", "h1").returncode == 0
    listed = ops("pod", "list", "--json").json
    (pod,), (source,) = listed["pods"], listed["sources"]
    assert (pod["name"], pod["state"], pod["pod_source"], pod["price_per_hour"]) == ("rented", "live", "cloud", 1.25)
    assert (source["name"], source["state"], source["pods"]) == ("cloud", "ok", 1)
    assert len(provider.asked) == 1, "within its interval a source is asked once, however many commands there are"
    provider.tell()
    project(pod_sources=[provider.source(rented.ssh_config, interval="5s")])
    (gone,) = asked_again(ops)
    assert (gone["name"], gone["state"], gone["reason"]) == ("rented", "gone", "cloud tells of it no more")
    refused = ops("run", "submit", "--preset", "hello", "--pod", "rented")
    assert (refused.returncode, "cloud tells of it no more" in refused.stderr) == (4, True), refused


def asked_again(ops: Ops) -> list[dict[str, str]]:
    """The pods once the source has been asked again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pods: list[dict[str, str]] = ops("pod", "list", "--json").json["pods"]
        if pods[0]["state"] == "gone":
            return pods
    raise AssertionError("it was never gone")


def test_a_source_that_fails_changes_nothing_and_says_why(
    ops: Ops, project: MakeProject, provider: Provider, rented: SshPod
) -> None:
    provider.fail("cloud: please log in\n")
    project("here", pod_sources=[provider.source(rented.ssh_config, interval="5s")])
    done = ops("pod", "list")
    assert done.returncode == 0
    assert "ended with status 7: cloud: please log in" in done.stderr and "try it by hand" in done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["here", "live"]]
    told = ops("doctor", "--json")
    faults = [check for check in told.json["checks"] if check["what"] == "source cloud"]
    assert [(fault["level"], "please log in" in fault["message"]) for fault in faults] == [("fail", True)]
    assert ops("run", "submit", "--preset", "hello", "--pod", "rented").returncode == 3


@pytest.mark.parametrize("pods", [["here"], []], ids=["beside pods", "for the first time"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_while_it_asks_a_source_leaves_no_process_of_it(
    project: MakeProject, start_ops: StartOps, world: Path, pods: list[str], number: signal.Signals
) -> None:
    program = world / "cloud"
    program.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ > '{world}/asking'\nwhile :; do sleep 0.1; done\n")
    program.chmod(0o755)
    project(*pods, pod_sources=[{"command": str(program), "name": "name", "ssh": "login"}])
    command = start_ops("--timeout", "600", "run", "list")
    wait_for(lambda: (world / "asking").exists() and (world / "asking").read_text().endswith("\n"), "the question")
    command.process.send_signal(number)
    assert command.process.wait(60) == -number
    asking = Path(f"/proc/{(world / 'asking').read_text().strip()}/stat")
    wait_for(lambda: not asking.exists() or asking.read_text().rpartition(")")[2].split()[0] in "ZX", "its end")


def test_a_pod_goes_on_by_its_old_way_when_its_provider_names_it_otherwise_or_tells_of_no_pod(
    ops: Ops, project: MakeProject, provider: Provider, rented: SshPod
) -> None:
    def listed() -> tuple[list[tuple[str, str]], str]:
        """The pods and what is told, once the source was asked again."""
        asked = len(provider.asked)
        deadline = time.monotonic() + 60
        while len(provider.asked) == asked and time.monotonic() < deadline:
            done = ops("pod", "list")
        lines = [line.split() for line in done.stdout.splitlines()[1:]]
        return [(words[0], words[1]) for words in lines], done.stderr

    project(pod_sources=[provider.source(rented.ssh_config, interval="5s")])
    assert listed()[0] == [("rented", "live")]
    provider.tell(rented=f"ssh -o ConnectTimeout=5 {rented.alias}")
    pods, told = listed()
    assert (pods, "pod rented:" in told, "-o ConnectTimeout=5 is not taken here" in told) == (
        [("rented", "live")],
        True,
        True,
    )
    (provider.program.parent / "there" / "rented").write_text('{"error": "rate limited"}')
    pods, told = listed()
    assert (pods, 'tells of no pod, but: {"error": "rate limited"}' in told) == ([("rented", "live")], True)


def test_a_configured_pod_counts_before_one_of_a_source_and_odd_names_are_told(
    ops: Ops, project: MakeProject, provider: Provider, rented: SshPod
) -> None:
    provider.tell(rented, **{"here": "elsewhere", "a/b": "h", "soon": None})
    project("here", pod_sources=[provider.source(rented.ssh_config)])
    done = ops("pod", "list")
    for part in ("pod here is left out: the project file has one", "'a/b' cannot be a name", "not ready yet: soon"):
        assert part in done.stderr
    assert {line.split()[0]: line.split()[2] for line in done.stdout.splitlines()[1:]} == {
        "here": "local",
        "rented": "ssh",
    }


async def test_pods_come_and_go_in_an_open_fleet(
    project: MakeProject, provider: Provider, rented: SshPod, ssh_pod: MakeSshPod
) -> None:
    second = ssh_pod("second")
    second.ssh_config.write_text(rented.ssh_config.read_text() + second.ssh_config.read_text())
    made = project("here", pod_sources=[provider.source(second.ssh_config, interval="5s")])
    config = load_project(path=made.file, environ={})
    async with Fleet(config) as fleet:
        await fleet.settled(20)
        assert {name: pod.state for name, pod in fleet.snapshot.pods.items()} == {"here": "live", "rented": "live"}
        provider.tell(rented, second)
        await appears(fleet, "second")
        await shows(fleet, "second", lambda pod: pod.state == "live", "the new pod to be live")
        runs = fleet.snapshot.pods["rented"].host
        provider.tell(second)
        gone = await shows(fleet, "rented", lambda pod: pod.state == "gone", "the pod to be gone")
        assert gone.host == runs, "what is known of it stays"
        provider.fail("the provider is down")
        await tells(fleet, "the provider is down")
        assert fleet.snapshot.pods["second"].state == "live"
        provider.tell(rented, second)
        await shows(fleet, "rented", lambda pod: pod.state == "live", "the pod to be back")
        assert fleet.snapshot.sources[0].problem == ""
        assert "second" in fleet.config.pods


async def appears(fleet: Fleet, name: str) -> None:
    await _until(fleet, lambda: name in fleet.snapshot.pods)


async def tells(fleet: Fleet, words: str) -> None:
    await _until(fleet, lambda: words in fleet.snapshot.sources[0].problem)


async def _until(fleet: Fleet, condition: Callable[[], bool]) -> None:
    assert await fleet.until(condition, 60)
