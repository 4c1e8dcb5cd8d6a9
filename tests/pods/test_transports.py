"""What a user can rely on when a pod is reached, over SSH and on this machine, and when it cannot be."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from podops.config.model import PodConfig
from podops.errors import PodSetupError, RefusedError, UnreachableError
from podops.link.pod_archive import pod_archive
from podops.transport.base import HandsOver
from podops.transport.choose import transport_for
from tests.pods.bare_link import failure, started
from tests.pods.conftest import MakeSshPod
from tests.pods.fleet_config import pod_config
from tests.pods.loopback import free_port, link_processes, make_key, wait_for


@pytest.fixture
def used_before() -> bool:
    return False


def run(command: str) -> None:
    subprocess.run(command, shell=True, check=True, capture_output=True)


def old_interpreters() -> list[Path]:
    """Pythons older than a pod may have, where pyenv keeps some."""
    return sorted(Path(os.environ.get("PYENV_ROOT", "/nowhere"), "versions").glob("3.[67].*/bin/python3"))


async def test_the_pod_side_is_uploaded_once_and_found_again(ssh_pod: MakeSshPod) -> None:
    pod = pod_config(ssh_pod())
    async with started(pod) as first:
        assert first.uploaded
    async with started(pod) as second:
        assert not second.uploaded


async def test_a_damaged_copy_of_the_pod_side_is_replaced(client_home: Path) -> None:
    pod = pod_config("laptop")
    async with started(pod):
        pass
    (copy,) = (client_home / ".cache/podops").glob("*.pyz")
    copy.write_bytes(b"cut off")
    async with started(pod) as link:
        assert link.uploaded
    assert copy.read_bytes() == pod_archive()[0]


async def test_a_cache_folder_others_can_write_to_is_not_trusted(client_home: Path) -> None:
    open_to_all = client_home / ".cache/podops"
    open_to_all.mkdir(parents=True)
    open_to_all.chmod(0o777)
    async with started(pod_config("laptop")):
        assert not list(open_to_all.iterdir())


async def test_what_a_login_shell_prints_is_skipped(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    (pod.home / ".bashrc").write_text("echo Welcome to pod 7; printf 'no newline at the end'\n")
    async with started(pod_config(pod)) as link:
        assert link.uploaded


async def test_a_login_shell_that_never_stops_printing_is_named(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    (pod.home / ".bashrc").write_text("yes noise\n")
    assert "prints over 64 KiB" in (await failure(pod)).message


async def test_a_pod_without_python3_says_so(ssh_pod: MakeSshPod) -> None:
    error = await failure(ssh_pod("bare", path="/nonexistent"))
    assert isinstance(error, PodSetupError)
    assert error.message == "python3 is not installed on pod bare"


async def test_a_pod_whose_python_is_too_old_says_which_one_it_has(ssh_pod: MakeSshPod, world: Path) -> None:
    interpreters = old_interpreters()
    if not interpreters:
        pytest.skip("no Python 3.6 or 3.7 on this machine")
    folder = world / "old-bin"
    folder.mkdir()
    (folder / "python3").symlink_to(interpreters[0])
    error = await failure(ssh_pod("old", path=str(folder)))
    assert error.message.startswith("python3 on pod old is 3.") and "too old" in error.message


async def test_an_unknown_host_key_is_refused_with_the_command_that_accepts_it(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    pod.known_hosts.write_text("")
    error = await failure(pod)
    assert isinstance(error, RefusedError)
    assert "not in known_hosts" in error.message
    scan = error.hint.partition("or: ")[2]
    run(scan)
    async with started(pod_config(pod)) as link:
        assert link.uploaded


async def test_a_changed_host_key_is_told_apart_from_an_unknown_one(ssh_pod: MakeSshPod) -> None:
    pod, other = ssh_pod("a"), ssh_pod("b")
    key = other.host_key.with_suffix(".pub").read_text()
    pod.known_hosts.write_text(f"[127.0.0.1]:{pod.port} {key}")
    error = await failure(pod)
    assert isinstance(error, RefusedError)
    assert "has changed" in error.message and "ssh-keygen -R" in error.hint


async def test_host_keys_are_checked_even_when_the_configuration_names_no_file(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    pod.ssh_config.write_text(
        pod.ssh_config.read_text().replace(f"UserKnownHostsFile {pod.known_hosts}", "UserKnownHostsFile none")
    )
    assert isinstance(await failure(pod), RefusedError)


async def test_a_refused_key_names_the_user_the_host_and_the_key(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    (pod.root / "authorized_keys").write_text("")
    error = await failure(pod)
    assert isinstance(error, RefusedError)
    assert "127.0.0.1 refused the login of" in error.message and str(pod.user_key) in error.message
    assert f"add {pod.user_key}.pub to ~/.ssh/authorized_keys" in error.hint


async def test_an_encrypted_key_without_an_agent_is_explained(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    run(f"ssh-keygen -q -p -f {pod.user_key} -N 'a long passphrase'")
    assert f"ssh-add {pod.user_key}" in (await failure(pod)).hint
    explicit = replace(pod_config(pod), identity_file=str(pod.user_key))
    assert f"ssh-add {pod.user_key}" in (await failure(explicit)).hint


async def test_an_agent_that_is_gone_and_keys_that_are_missing_are_passed_over(
    ssh_pod: MakeSshPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = ssh_pod()
    config = pod.ssh_config.read_text().replace("  IdentityFile", "  IdentityFile ~/.ssh/no-such-key\n  IdentityFile")
    pod.ssh_config.write_text(config.replace("  IdentitiesOnly yes\n", ""))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere/agent")
    async with started(pod_config(pod)) as link:
        assert link.uploaded


async def test_a_key_that_only_the_agent_holds_is_used(
    ssh_pod: MakeSshPod, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = ssh_pod()
    agent_socket = world / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", agent_socket], stdout=subprocess.DEVNULL) as agent:  # noqa: ASYNC220
        try:
            wait_for(agent_socket.exists, "the agent")
            monkeypatch.setenv("SSH_AUTH_SOCK", str(agent_socket))
            run(f"ssh-add -q {pod.user_key}")
            pod.user_key.unlink()
            async with started(pod_config(pod)) as link:
                assert link.uploaded
        finally:
            agent.terminate()
    assert "the SSH agent's keys" in (await failure(pod)).message


async def test_a_destination_can_be_spelled_out_without_an_alias(ssh_pod: MakeSshPod, client_home: Path) -> None:
    pod = ssh_pod()
    (client_home / ".ssh").mkdir()
    (client_home / ".ssh/config").write_text(f"UserKnownHostsFile {pod.known_hosts}\n")
    spelled = PodConfig("x", ssh="root@127.0.0.1", port=pod.port, identity_file=str(pod.user_key))
    async with started(spelled) as link:
        assert link.uploaded


async def test_a_pod_behind_a_jump_host_is_reached(ssh_pod: MakeSshPod) -> None:
    inner, jump = ssh_pod("inner"), ssh_pod("jump")
    config = jump.ssh_config.read_text() + inner.ssh_config.read_text() + f"  ProxyJump {jump.alias}\n"
    inner.ssh_config.write_text(config)
    async with started(pod_config(inner)) as link:
        assert link.uploaded
        wait_for(lambda: bool(link_processes(inner.home)), "the link process")
    jump.stop()
    jump.known_hosts.write_text("")
    jump.start()
    assert f"[127.0.0.1]:{jump.port} is not in known_hosts" in (await failure(inner)).message


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ("root@127.0.0.1", "refused the connection"),
        ("root@no-such-pod.invalid", "the name no-such-pod.invalid cannot be resolved"),
    ],
)
async def test_a_pod_that_is_not_there_says_why(client_home: Path, destination: str, message: str) -> None:
    assert message in (await failure(PodConfig("gone", ssh=destination, port=free_port()))).message


async def test_a_missing_identity_file_is_named(client_home: Path) -> None:
    error = await failure(PodConfig("x", ssh="root@127.0.0.1", identity_file="~/.ssh/no-such-key"))
    assert isinstance(error, RefusedError) and "~/.ssh/no-such-key" in error.message


async def test_the_pod_side_ends_when_its_connection_dies(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    async with started(pod_config(pod)):
        wait_for(lambda: len(link_processes(pod.home)) == 1, "the link process")
        assert pod.kill_sessions()
        wait_for(lambda: not link_processes(pod.home), "the link process to end")


async def test_closing_a_local_link_ends_its_process(client_home: Path) -> None:
    async with started(pod_config("laptop")):
        wait_for(lambda: len(link_processes(client_home)) == 1, "the link process")
    assert not link_processes(client_home)


def test_keys_made_for_tests_are_private(world: Path) -> None:
    assert make_key(world / "key").stat().st_mode & 0o077 == 0


async def test_what_a_pod_says_is_handed_over_whole_with_what_was_not_read_before(ssh_pod: MakeSshPod) -> None:
    transport = transport_for(pod_config(ssh_pod()))
    process = await transport.start("echo first; echo second; read go; head -c 3000000 /dev/zero; exit 7")
    assert isinstance(process, HandsOver)
    try:
        said = bytearray(await process.read(3))
        await process.write(b"go\n")
        await process.hand_over(said.extend)
        assert bytes(said) == b"first\nsecond\n" + bytes(3_000_000)
        assert (await process.wait_closed())[0] == 7
    finally:
        await process.close()


async def test_who_cannot_take_what_is_handed_over_hears_its_own_error_and_nothing_more(ssh_pod: MakeSshPod) -> None:
    taken: list[bytes] = []

    def take(data: bytes) -> None:
        taken.append(data)
        raise ValueError("enough")

    process = await transport_for(pod_config(ssh_pod())).start("echo first; sleep 0.3; echo second; sleep 60")
    assert isinstance(process, HandsOver)
    try:
        with pytest.raises(ValueError, match="enough"):
            await process.hand_over(take)
        assert b"".join(taken) == b"first\n"
    finally:
        await process.close()


async def test_a_connection_that_dies_ends_the_handing_over_with_the_reason(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    process = await transport_for(pod_config(pod)).start("echo first; sleep 60")
    assert isinstance(process, HandsOver)

    def take(_data: bytes) -> None:
        pod.stop()

    try:
        with pytest.raises(UnreachableError, match="connection"):
            await process.hand_over(take)
    finally:
        await process.close()
