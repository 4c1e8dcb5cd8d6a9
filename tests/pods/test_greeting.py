"""The first request is a part of the command that starts the pod side, whatever a pod's login makes of its input."""

from __future__ import annotations

import pytest

from podops.fleet.fleet import Fleet
from podops.link.client import LinkClient
from podops.link.pod_archive import pod_archive
from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.fleet_config import fleet_config, shows

#: What start-up files of a login have been seen to do to its standard input.
READERS = {
    "a line": "read -t 0.3 answer",
    "a part": "read -t 0.3 -n 20 answer",
    "all there is": "timeout 0.3 cat > /dev/null",
}


@pytest.fixture
def used_before() -> bool:
    return False


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


async def test_no_pod_has_to_be_greeted_once_more_not_even_one_that_gets_our_side_first(
    ssh_pod: MakeSshPod, asked: list[str]
) -> None:
    pod = ssh_pod("a100")
    for _ in range(2):
        async with Fleet(fleet_config(pod)) as fleet:
            await fleet.settled(30)
            assert fleet.snapshot.pods["a100"].state == "live"
    assert "hello" not in asked
    name = f"podops-{pod_archive()[1]}.pyz"
    assert (pod.home / ".cache/podops" / name).read_bytes() == pod_archive()[0]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
async def test_a_pod_whose_start_up_files_read_standard_input_is_reached_by_one_login(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, reader: str
) -> None:
    pod = ssh_pod("a100")
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(30)
    logins = pod.home / "logins"
    (pod.home / ".bashrc").write_text(f"echo >> ~/logins\n{reader}\n")
    async with Fleet(fleet_config(pod)) as fleet:
        await shows(fleet, "a100", lambda seen: seen.state == "live", "the pod to be live")
        assert logins.read_text() == "\n"
    project(pod)
    told = ops("pod", "status", "a100")
    assert told.returncode == 0 and "live" in told.stdout, told.stderr
