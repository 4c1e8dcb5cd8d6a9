"""A key that lies open in a file logs in by a signature at once; what the server makes of it is told as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh import auth

from podops.config.model import PodConfig
from podops.errors import RefusedError
from podops.transport.choose import transport_for
from tests.pods.bare_link import failure, started
from tests.pods.conftest import MakeSshPod
from tests.pods.fleet_config import pod_config
from tests.pods.loopback import SshPod, make_key
from tests.pods.ssh_agent import agent_with


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of servers to be let in."""
    found: list[str] = []
    plain = asyncssh.SSHClientConnection.send_userauth_request

    async def noted(self: asyncssh.SSHClientConnection, method: bytes, *args: bytes, **options: object) -> None:
        signed = " signed" if options.get("key") is not None else ""
        found.append(method.decode() + signed)
        await plain(self, method, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncssh.SSHClientConnection, "send_userauth_request", noted)
    return found


def with_keys(pod: SshPod, *keys: Path) -> PodConfig:
    lines = "".join(f"  IdentityFile {key}\n" for key in keys)
    pod.ssh_config.write_text(pod.ssh_config.read_text().replace(f"  IdentityFile {pod.user_key}\n", lines))
    return pod_config(pod)


async def test_a_key_in_a_file_is_tried_without_asking_anything_first(ssh_pod: MakeSshPod, requests: list[str]) -> None:
    async with started(ssh_pod("a100")):
        assert requests == ["publickey signed"]


async def test_keys_are_tried_one_after_the_other_until_one_is_taken(
    ssh_pod: MakeSshPod, tmp_path: Path, requests: list[str]
) -> None:
    pod = ssh_pod("a100")
    other, another = make_key(tmp_path / "other"), make_key(tmp_path / "another")
    async with started(with_keys(pod, other, another, pod.user_key)):
        assert requests == ["publickey signed"] * 3


async def test_a_key_that_is_not_taken_is_refused_as_such(ssh_pod: MakeSshPod, tmp_path: Path) -> None:
    pod = ssh_pod("a100")
    error = await failure(with_keys(pod, make_key(tmp_path / "other")))
    assert isinstance(error, RefusedError) and str(tmp_path / "other") in error.message


@pytest.mark.parametrize("count", [2, 4])
async def test_a_login_that_a_server_breaks_off_after_so_many_keys_is_refused_and_not_tried_again(
    ssh_pod: MakeSshPod, tmp_path: Path, count: int
) -> None:
    keys = [make_key(tmp_path / str(number)) for number in range(count)]
    error = await failure(with_keys(ssh_pod("a100", options=("MaxAuthTries 3",)), *keys))
    assert isinstance(error, RefusedError) and str(keys[0]) in error.message, error


async def test_a_key_of_an_agent_is_asked_about_first(
    ssh_pod: MakeSshPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: list[str]
) -> None:
    pod = ssh_pod("a100")
    with agent_with(tmp_path, pod.user_key) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        pod.user_key.unlink()
        async with started(pod):
            assert requests == ["publickey", "publickey signed"]


async def test_a_server_that_takes_no_key_and_lets_in_all_the_same_is_asked_after_the_keys(
    ssh_pod: MakeSshPod, monkeypatch: pytest.MonkeyPatch, requests: list[str]
) -> None:
    """As servers of a private network do, which know who calls by other means."""

    async def let_in(self: Any, _packet: object) -> None:
        await self.send_success()

    monkeypatch.setattr(auth._ServerNullAuth, "supported", lambda _connection: True)
    monkeypatch.setattr(auth._ServerNullAuth, "_start", let_in)
    pod = ssh_pod("a100")
    pod.stop()
    async with asyncssh.listen(
        "127.0.0.1", pod.port, server_host_keys=[str(pod.host_key)], server_factory=TakesNoKey, process_factory=greet
    ):
        process = await transport_for(pod_config(pod)).start("greet")
        assert await process.read(64) == b"hello"
        await process.close()
    assert requests == ["publickey signed", "none"]


class TakesNoKey(asyncssh.SSHServer):
    def public_key_auth_supported(self) -> bool:
        return True


def greet(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write("hello")
    process.exit(0)
