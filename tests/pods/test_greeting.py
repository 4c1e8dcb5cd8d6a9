"""The first request goes along with the command that starts the pod side, whatever a pod's login makes of it."""

from __future__ import annotations

import asyncio

import pytest

from podops.fleet.fleet import Fleet
from podops.link.client import LinkClient
from podops.link.pod_archive import pod_archive
from podops.transport.base import LogsIn
from podops.transport.choose import transport_for
from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.fleet_config import fleet_config, pod_config, shows

#: What start-up files of a login have been seen to do to its standard input.
READERS = {
    "a line": "read -t 0.3 answer",
    "a part": "read -t 0.3 -n 20 answer",
    "all there is": "timeout 0.3 cat > /dev/null",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of pods, beside what goes along with the command."""
    found: list[str] = []
    plain = LinkClient._send

    def noted(self: LinkClient, header: dict[str, object], payload: bytes = b"") -> None:
        found.append(str(header["op"]))
        plain(self, header, payload)

    monkeypatch.setattr(LinkClient, "_send", noted)
    return found


async def test_a_greeting_waits_for_no_word_of_the_pod(ssh_pod: MakeSshPod) -> None:
    transport = transport_for(pod_config(ssh_pod("a100")))
    assert isinstance(transport, LogsIn)

    async def command() -> str:
        return "exec head -c 5"

    process = await transport.log_in_and_start(command(), lambda: None, b"hello")
    async with asyncio.timeout(20):
        assert await process.read(64) == b"hello"
    await process.close()


async def test_a_pod_is_greeted_once_also_by_the_link_that_brings_it_our_side(
    ssh_pod: MakeSshPod, asked: list[str]
) -> None:
    pod = ssh_pod("a100")
    for number, said in enumerate((1, 0)):
        asked.clear()
        async with Fleet(fleet_config(pod)) as fleet:
            await fleet.settled(30)
            assert fleet.snapshot.pods["a100"].state == "live"
        # Without our side of the link, the pod has dropped what went along.
        assert asked.count("hello") == said, number
    name = f"podops-{pod_archive()[1]}.pyz"
    assert (pod.home / ".cache/podops" / name).read_bytes() == pod_archive()[0]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
async def test_a_pod_whose_start_up_files_read_standard_input_is_reached(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, reader: str
) -> None:
    pod = ssh_pod("a100")
    (pod.home / ".bashrc").write_text(reader + "\n")
    async with Fleet(fleet_config(pod)) as fleet:
        await shows(fleet, "a100", lambda seen: seen.state == "live", "the pod to be live")
    project(pod)
    told = ops("pod", "status", "a100")
    assert told.returncode == 0 and "live" in told.stdout, told.stderr
