"""SSH as its users have it set up: what docs/ssh.md promises, each line against a real sshd."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from podops.config.model import PodConfig
from podops.errors import RefusedError, UnreachableError
from podops.fleet.fleet import Fleet
from podops.transport import locked_keys
from tests.pods.bare_link import failure, started
from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, StartOps
from tests.pods.fleet_config import fleet_config, pod_config
from tests.pods.loopback import SshPod, link_processes, make_key, wait_for
from tests.pods.ops_process import PipedOps, ops_words
from tests.pods.ssh_agent import agent_with

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give sshd other accounts or mounts")


@pytest.fixture
def used_before() -> bool:
    return False


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def rewrite(pod: SshPod, old: str, new: str) -> None:
    """Change the client's configuration."""
    text = pod.ssh_config.read_text()
    assert old in text
    pod.ssh_config.write_text(text.replace(old, new))


async def connects(pod: SshPod | PodConfig) -> None:
    """Raises unless the pod side is started and speaks."""
    async with started(pod):
        pass


async def connects_at_once(pod: SshPod, names: int) -> None:
    """As that many pods, none of which is turned away meanwhile."""
    many = [replace(pod_config(pod), name=f"pod-{number}") for number in range(names)]
    async with Fleet(fleet_config(*many)) as fleet:
        refused: list[str] = []
        fleet.subscribe(lambda names: refused.extend(n for n in names if fleet.snapshot.pods[n].state == "unreachable"))
        await fleet.settled(60)
        assert {seen.state for seen in fleet.snapshot.pods.values()} == {"live"} and not refused


async def test_include_also_inside_a_host_block_and_match_with_exec_and_tokens(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    (pod.root / "parts").mkdir()
    (pod.root / "parts/10-other").write_text(
        f"Host other\n  HostName nowhere.invalid\nHost {pod.alias}\n  Port {pod.port}\n"
    )
    (pod.root / "parts/20-host").write_text("HostName 127.0.0.1\nHost other\n  Port 1\nHost *\n  IdentitiesOnly yes\n")
    pod.ssh_config.write_text(
        f"Include {pod.root}/parts/10-*\n"
        f"Host {pod.alias} # the pod\n  Include {pod.root}/parts/20-*\n  UserKnownHostsFile {pod.root}/%k-hosts\n"
        f'Match originalhost {pod.alias} exec "test %h = 127.0.0.1"\n  IdentityFile {pod.root}/%r-%p\n'
        f"Match host nowhere.invalid\n  User nobody\n"
    )
    pod.user_key.rename(pod.root / f"root-{pod.port}")
    pod.known_hosts.rename(pod.root / f"{pod.alias}-hosts")
    await connects(pod)
    assert pod.logins() == 1


async def test_a_chain_of_jump_hosts(ssh_pod: MakeSshPod) -> None:
    outer, middle, inner = ssh_pod("outer"), ssh_pod("middle"), ssh_pod("inner")
    parts = [pod.ssh_config.read_text() for pod in (outer, middle, inner)]
    inner.ssh_config.write_text("".join(parts) + f"  ProxyJump {outer.alias},{middle.alias}\n")
    await connects(inner)
    inner.ssh_config.write_text(
        f"{parts[0]}{parts[1]}  ProxyJump {outer.alias}\n{parts[2]}  ProxyJump {middle.alias}\n"
    )
    await connects(inner)
    outer.stop()
    assert f"port {outer.port} refused the connection" in (await failure(inner)).message


async def test_many_pods_behind_one_jump_host_do_not_overrun_it(ssh_pod: MakeSshPod) -> None:
    jump, pod = ssh_pod("jump", options=("MaxStartups 8",)), ssh_pod()
    pod.ssh_config.write_text(f"{jump.ssh_config.read_text()}{pod.ssh_config.read_text()}  ProxyJump {jump.alias}\n")
    await connects_at_once(pod, 12)


async def test_many_names_of_one_machine_do_not_overrun_it(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod(options=("MaxStartups 8",))
    await connects_at_once(pod, 24)


async def test_a_proxy_command_is_run_by_a_shell_and_may_complain_on_its_way(ssh_pod: MakeSshPod) -> None:
    jump, pod = ssh_pod("jump"), ssh_pod()
    rewrite(pod, "  IdentitiesOnly", "  ProxyCommand no-such-program %h (\n  IdentitiesOnly")
    assert f"the ProxyCommand of {pod.alias} failed" in (await failure(pod)).message
    through = f"ssh -v -F {jump.ssh_config} -W '%h:%p' {jump.alias}"
    rewrite(pod, "no-such-program %h (", f"sh -c 'echo noise >&2; exec \"$@\"' sh {through}")
    await connects(pod)
    jump.stop()
    error = await failure(pod)
    assert f"the ProxyCommand of {pod.alias} failed" in error.message


async def test_a_proxy_command_that_is_killed_is_lost_without_a_word_of_python_and_leaves_nothing_behind(
    ssh_pod: MakeSshPod, project: MakeProject, start_ops: StartOps
) -> None:
    jump, pod = ssh_pod("jump"), ssh_pod()
    ways = pod.root / "ways"
    through = f"sh -c 'echo $$ >> {ways}; exec ssh -F {jump.ssh_config} -W %h:%p {jump.alias}'"
    rewrite(pod, "  IdentitiesOnly", f"  ProxyCommand {through}\n  IdentitiesOnly")
    project(pod)
    watching = start_ops("watch", "--json")
    for round_ in range(2):
        watching.read_until(b'"live"')
        os.kill(int(ways.read_text().split()[round_]), signal.SIGKILL)
    watching.read_until(b'"live"')
    watching.process.send_signal(signal.SIGTERM)
    watching.rest()
    assert re.fullmatch(r"holding the links of .*\n", watching.stderr)
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in ways.read_text().split()), "no way to be left")


def test_a_proxy_command_that_says_nothing_is_not_left_behind(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, start_ops: StartOps
) -> None:
    pod = ssh_pod()
    ways = pod.root / "ways"
    rewrite(pod, "  IdentitiesOnly", f"  ProxyCommand sh -c 'echo $$ >> {ways}; sleep 600; :'\n  IdentitiesOnly")
    project(pod)
    assert ops("--timeout", "2", "pod", "list", "--json").json["pods"][0]["state"] == "unreachable"
    watching = start_ops("--timeout", "2", "watch", "--json")
    watching.read_until(b'"unreachable"')
    watching.process.send_signal(signal.SIGTERM)
    watching.rest()
    assert len(ways.read_text().split()) >= 2
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in ways.read_text().split()), "no way to be left")
    rewrite(pod, f"sh -c 'echo $$ >> {ways}; sleep 600; :'", "true")
    watching = start_ops("watch", "--json")
    assert b"the ProxyCommand of pod-alias failed" in watching.read_until(b'"unreachable"')


async def test_certificates_of_users_and_hosts(ssh_pod: MakeSshPod, world: Path) -> None:
    authority = make_key(world / "authority")
    pod = ssh_pod(options=(f"TrustedUserCAKeys {authority}.pub", f"HostCertificate {world}/pod-pod/host_key-cert.pub"))
    (pod.root / "authorized_keys").write_text("")
    assert isinstance(await failure(pod), RefusedError)
    run("ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", "root", pod.user_key.with_suffix(".pub"))
    await connects(pod)
    elsewhere = pod.root / "elsewhere-cert.pub"
    (pod.root / "user_key-cert.pub").rename(elsewhere)
    rewrite(pod, "  IdentitiesOnly", f"  CertificateFile {elsewhere}\n  IdentitiesOnly")
    await connects(pod)
    run("ssh-keygen", "-q", "-s", authority, "-I", "pod", "-h", "-n", "127.0.0.1", pod.host_key.with_suffix(".pub"))
    pod.stop()
    pod.start()
    pod.known_hosts.write_text(f"@cert-authority [127.0.0.1]:* {authority.with_suffix('.pub').read_text()}")
    await connects(pod)


async def test_a_locked_key_is_asked_for_once_for_all_pods(ssh_pod: MakeSshPod) -> None:
    first, second = ssh_pod("a"), ssh_pod("b")
    rewrite(second, str(second.user_key), str(first.user_key))
    (second.root / "authorized_keys").write_text((first.root / "authorized_keys").read_text())
    run("ssh-keygen", "-q", "-p", "-f", first.user_key, "-N", "a long passphrase")
    asked: list[tuple[Path, bool]] = []

    async def ask(key: Path, again: bool) -> str | None:
        asked.append((key, again))
        return "a long passphrase" if again else "a wrong one"

    locked_keys.ask_with(ask)
    try:
        async with Fleet(fleet_config(first, second)) as fleet:
            await fleet.settled(15)
            assert [pod.state for pod in fleet.snapshot.pods.values()] == ["live", "live"]
        assert asked == [(first.user_key, False), (first.user_key, True)]
    finally:
        locked_keys.ask_with(None)
        locked_keys.unlocked.clear()


def test_ops_asks_on_its_terminal_for_the_passphrase(
    ssh_pod: MakeSshPod, project: MakeProject, open_ops: OpenOps
) -> None:
    pod = ssh_pod()
    run("ssh-keygen", "-q", "-p", "-f", pod.user_key, "-N", "a long passphrase")
    project(pod)
    terminal = open_ops("--timeout", "30", "pod", "list", "--json")
    terminal.wait_for(f"Passphrase for {pod.user_key}: ")
    terminal.press("wrong\n")
    terminal.wait_for("That did not open it")
    terminal.press("a long passphrase\n")
    assert terminal.ended() == 0
    assert b'"live"' in terminal.output and b"a long passphrase" not in terminal.output


def test_a_command_is_carried_by_openssh_and_never_waits_for_another_ssh_to_load(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops
) -> None:
    pod = ssh_pod()
    project(pod)
    told = ops("pod", "list", "--json", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert told.json["pods"][0]["state"] == "live"
    assert "podops.transport.openssh" in told.stderr and "asyncssh" not in told.stderr
    pod.known_hosts.write_text("")
    refused = ops("pod", "list", "--json").json["pods"][0]
    assert (refused["state"], "is not in known_hosts" in refused["reason"]) == ("refused", True)


async def test_identities_only_keeps_the_keys_of_an_agent_to_itself(
    ssh_pod: MakeSshPod, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = ssh_pod(options=("MaxAuthTries 3",))
    with agent_with(world, *[make_key(world / f"key-{number}") for number in range(6)]) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        await connects(pod)
        rewrite(pod, "IdentitiesOnly yes", "IdentitiesOnly no")
        pod.user_key.unlink()
        assert isinstance(await failure(pod), UnreachableError)


async def test_an_agent_that_the_configuration_names(ssh_pod: MakeSshPod, world: Path) -> None:
    pod = ssh_pod()
    with agent_with(world, pod.user_key) as agent:
        pod.user_key.unlink()
        rewrite(pod, "  IdentitiesOnly", f"  IdentityAgent {agent}\n  IdentitiesOnly")
        await connects(pod)
    assert pod.logins() == 1


async def test_hashed_known_hosts(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    run("ssh-keygen", "-q", "-H", "-f", pod.known_hosts)
    assert "127.0.0.1" not in pod.known_hosts.read_text()
    await connects(pod)


@pytest.mark.parametrize("hashed", ["yes", "no"])
async def test_accept_new_stores_a_key_once_and_never_accepts_another(ssh_pod: MakeSshPod, hashed: str) -> None:
    pod, other = ssh_pod(), ssh_pod("other")
    pod.known_hosts.write_text("# an old line without an end")
    rewrite(pod, "  IdentitiesOnly", f"  StrictHostKeyChecking accept-new\n  HashKnownHosts {hashed}\n  IdentitiesOnly")
    await connects(pod)
    stored = pod.known_hosts.read_text()
    assert stored.count("ssh-ed25519") == 1 and (f"[127.0.0.1]:{pod.port}" in stored) is (hashed == "no")
    run("ssh", "-F", pod.ssh_config, "-o", "StrictHostKeyChecking=yes", pod.alias, "true")
    await connects(pod)
    assert pod.known_hosts.read_text() == stored
    pod.stop()
    shutil.copy(other.host_key, pod.host_key)
    pod.start()
    assert "has changed" in (await failure(pod)).message


async def test_a_key_is_looked_up_by_its_alias(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    pod.known_hosts.write_text(f"the-pod {pod.host_key.with_suffix('.pub').read_text()}")
    assert isinstance(await failure(pod), RefusedError)
    rewrite(pod, "  IdentitiesOnly", "  HostKeyAlias the-pod\n  IdentitiesOnly")
    await connects(pod)


async def test_ciphers_that_the_configuration_chooses(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod(options=("Ciphers aes256-ctr",))
    rewrite(pod, "  IdentitiesOnly", "  Ciphers aes256-ctr\n  KexAlgorithms curve25519-sha256\n  IdentitiesOnly")
    await connects(pod)
    rewrite(pod, "Ciphers aes256-ctr", "Ciphers aes128-gcm@openssh.com")
    assert_no_cipher_is_shared(await failure(pod))


def assert_no_cipher_is_shared(told: UnreachableError) -> None:
    said = "share no method: No matching encryption algorithm"
    assert said in told.message and "sent aes128-gcm@openssh.com" in told.message


async def test_why_a_server_hangs_up_is_told_also_when_it_does_so_with_its_last_word(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod(options=("Ciphers aes256-ctr",))
    rewrite(pod, "  IdentitiesOnly", "  Ciphers aes128-gcm@openssh.com\n  IdentitiesOnly")

    async def all_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", pod.port)
        writer.write(await from_server.readline())
        to_server.write(await reader.readline() + await reader.read(1 << 16))
        writer.write(await from_server.read())
        for end in (writer, to_server):
            end.close()

    async with await asyncio.start_server(all_at_once, "127.0.0.1", 0) as between:
        rewrite(pod, f"Port {pod.port}", f"Port {between.sockets[0].getsockname()[1]}")
        assert_no_cipher_is_shared(await failure(pod))


async def test_ipv6(ssh_pod: MakeSshPod) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    pod = ssh_pod(address="::1")
    await connects(pod)
    spelled = PodConfig("six", ssh=f"root@[::1]:{pod.port}", identity_file=str(pod.user_key))
    assert "not in known_hosts" in (await failure(spelled)).message


async def test_a_broken_configuration_is_refused_with_its_line(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    rewrite(pod, "IdentitiesOnly yes", "IdentitiesOnlyy yes")
    error = await failure(pod)
    assert isinstance(error, RefusedError)
    assert "line 5" in error.message and "identitiesonlyy" in error.message.lower()


def owner(process: int) -> int:
    return Path(f"/proc/{process}").stat().st_uid


def with_account(world: Path, line: str) -> tuple[str, ...]:
    """Words before sshd that let it see another /etc/passwd, and nobody else."""
    passwd = world / "passwd"
    name = line.partition(":")[0]
    kept = [entry for entry in Path("/etc/passwd").read_text().splitlines() if not entry.startswith(f"{name}:")]
    passwd.write_text("\n".join([*kept, line]) + "\n")
    passwd.chmod(0o644)
    return ("unshare", "-m", "sh", "-c", f'mount --bind {passwd} /etc/passwd && exec "$@"', "sh")


@needs_root
async def test_a_user_who_is_not_root(ssh_pod: MakeSshPod, world: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="podops-home-"))
    try:
        os.chown(home, 4711, 4711)
        prefix = with_account(world, f"researcher:x:4711:4711::{home}:/bin/sh")
        env = {"HOME": str(home), "PODOPS_STATE_DIR": f"{home}/state"}
        pod = ssh_pod(prefix=prefix, env=env, options=(f"AuthorizedKeysFile {home}/keys",))
        shutil.copy(pod.root / "authorized_keys", home / "keys")
        (home / "keys").chmod(0o644)
        rewrite(pod, "  IdentitiesOnly", "  User researcher\n  IdentitiesOnly")
        async with started(pod_config(pod)):
            wait_for(lambda: len(link_processes(home)) == 1, "the link process")
            (process,) = link_processes(home)
            assert owner(process) == 4711
    finally:
        shutil.rmtree(home)


@needs_root
def test_the_app_and_commands_trust_the_host_keys_of_the_account_and_not_those_of_another_home(
    ssh_pod: MakeSshPod, project: MakeProject, ops_env: Callable[..., dict[str, str]], client_home: Path, world: Path
) -> None:
    pod, account = ssh_pod(), world / "account"
    for home in (account, client_home):
        (home / ".ssh").mkdir(parents=True)
    rewrite(pod, f"  UserKnownHostsFile {pod.known_hosts}\n", "")
    made = project(pod)
    prefix = with_account(world, f"root:x:0:0:root:{account}:/bin/sh")

    def state(*words: str) -> str:
        ops = PipedOps([*prefix, *ops_words(*words, "--json")], made.directory, ops_env(), world / "errors")
        found = None
        while found is None:
            found = re.search(rb'"state": ?"(live|refused)"', ops.read_line())
        ops.process.terminate()
        ops.rest()
        ops.end()
        return found[1].decode()

    for home, found in ((client_home, "refused"), (account, "live")):
        shutil.copy(pod.known_hosts, home / ".ssh/known_hosts")
        assert state("pod", "list") == found
        assert state("--no-share", "watch") == found


@needs_root
async def test_a_login_shell_that_is_fish_and_greets(ssh_pod: MakeSshPod, world: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    pod = ssh_pod(prefix=with_account(world, f"root:x:0:0:root:/root:{fish}"))
    config = pod.home / ".config/fish/config.fish"
    config.parent.mkdir(parents=True)
    config.write_text("echo Welcome, this is fish $version\n")
    async with started(pod_config(pod)) as link:
        assert link.uploaded


@needs_root
async def test_a_home_that_is_read_only(ssh_pod: MakeSshPod, world: Path) -> None:
    home = world / "pod-pod/home"
    mount = f'mount -t tmpfs -o ro none {home} && exec "$@"'
    pod = ssh_pod(prefix=("unshare", "-m", "sh", "-c", mount, "sh"))
    async with started(pod_config(pod)) as link:
        assert link.process is not None
        assert not list(home.iterdir())


async def test_a_key_given_in_the_project_file_wins(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    key = pod.root / "another"
    pod.user_key.rename(key)
    assert isinstance(await failure(pod), RefusedError)
    await connects(replace(pod_config(pod), identity_file=str(key)))
