"""What a command says when `ssh` cannot carry its link: the same as the app would, after a single try."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from podops.errors import RefusedError
from podops.transport.openssh import OpenSshTransport
from tests.pods.bare_link import failure
from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.fleet_config import pod_config
from tests.pods.loopback import SshPod, make_key, wait_for


def tries(pod: SshPod) -> list[str]:
    """Who has connected to an sshd that logs everything."""
    return re.findall(r"remote software version (OpenSSH|AsyncSSH)", (pod.root / "sshd.log").read_text())


def configure(pod: SshPod, *lines: str) -> None:
    pod.ssh_config.write_text(pod.ssh_config.read_text() + "".join(f"  {line}\n" for line in lines))


def no_longer_authorized(pod: SshPod) -> None:
    (pod.root / "authorized_keys").write_text("")


def under_a_passphrase(pod: SshPod) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-f", pod.user_key, "-N", "a long passphrase"], check=True)


def without_a_host_key(pod: SshPod) -> None:
    pod.known_hosts.write_text("")


def with_another_host_key(pod: SshPod) -> None:
    key = make_key(pod.root / "other").with_suffix(".pub").read_text()
    pod.known_hosts.write_text(f"[127.0.0.1]:{pod.port} {key}")


def behind_a_broken_program(pod: SshPod) -> None:
    configure(pod, "ProxyCommand sh -c 'echo no way >&2; exit 1'")


def behind_a_program_that_hangs_up_before_it_complains(pod: SshPod) -> None:
    # The end of its input is when all that has hung up on it knows that it did.
    configure(pod, "ProxyCommand sh -c 'exec >&-; cat >/dev/null; echo no way >&2; exit 1'")


def behind_a_program_that_ends_without_a_word(pod: SshPod) -> None:
    configure(pod, "ProxyCommand true")


def ended(pod: SshPod) -> None:
    pod.stop()


def misconfigured(pod: SshPod) -> None:
    configure(pod, "NoSuchSetting yes")


@pytest.mark.parametrize(
    "spoil",
    [
        no_longer_authorized,
        under_a_passphrase,
        without_a_host_key,
        with_another_host_key,
        behind_a_broken_program,
        behind_a_program_that_hangs_up_before_it_complains,
        behind_a_program_that_ends_without_a_word,
        ended,
        misconfigured,
    ],
)
async def test_a_command_says_of_a_failed_way_what_the_app_says_after_one_try(
    ssh_pod: MakeSshPod, spoil: Callable[[SshPod], None]
) -> None:
    pod = ssh_pod(options=("LogLevel DEBUG1",))
    spoil(pod)
    of_the_app = await failure(pod)
    of_a_command = await failure(pod, OpenSshTransport(pod_config(pod)))
    assert tries(pod) in (["AsyncSSH", "OpenSSH"], [])
    assert type(of_a_command) is type(of_the_app)
    for part in ("message", "hint", "error_code"):
        assert getattr(of_a_command, part) == getattr(of_the_app, part)


async def test_what_a_proxy_command_complains_of_is_told_each_time_also_after_it_has_hung_up(
    ssh_pod: MakeSshPod,
) -> None:
    pod = ssh_pod()
    configure(pod, "ProxyCommand printf 'no way in\\n' >&2; exit 7")
    for transport in (None, OpenSshTransport(pod_config(pod))):
        told = {(await failure(pod, transport)).message for _ in range(10)}
        assert told == {f"the ProxyCommand of {pod.alias} failed: no way in"}


async def test_a_proxy_command_is_ended_that_outlives_its_ssh(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    pids = pod.root / "ways"
    configure(pod, f"ProxyCommand sh -c 'echo $$ >> {pids}; exec >&-; exec 2>&-; sleep 600; :'")
    await failure(pod, OpenSshTransport(pod_config(pod)))
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in pids.read_text().split()), "no way to be left")


async def test_the_cure_of_an_unknown_host_key_names_the_file_that_was_looked_into(
    ssh_pod: MakeSshPod, client_home: Path
) -> None:
    pod = ssh_pod()
    pod.ssh_config.write_text(pod.ssh_config.read_text().replace(f"UserKnownHostsFile {pod.known_hosts}", ""))
    login, scan = f"ssh -F {pod.ssh_config}", f"ssh-keyscan -p {pod.port} 127.0.0.1"
    of_ssh = Path(pwd.getpwuid(os.getuid()).pw_dir, ".ssh/known_hosts")
    for transport in (None, OpenSshTransport(pod_config(pod))):
        told = await failure(pod, transport)
        assert told.hint == f"run `{login} {pod.alias}` once to accept it, or: {scan} >> {of_ssh}"


async def test_a_pod_whose_key_is_not_there_is_used_with_no_other(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod(options=("LogLevel DEBUG1",))
    config = replace(pod_config(pod), identity_file=str(pod.root / "missing"))
    for transport in (None, OpenSshTransport(config)):
        told = await failure(config, transport)
        assert (type(told), told.message) == (
            RefusedError,
            f"pod pod wants the key {config.identity_file}, which is not there",
        )
    assert not tries(pod)


async def test_what_no_cipher_and_no_jump_host_lets_through_is_told_with_its_cause(ssh_pod: MakeSshPod) -> None:
    pod, jump = ssh_pod(), ssh_pod("jump")
    configure(pod, "Ciphers aes256-ctr")
    pod.options = ("Ciphers aes128-ctr",)
    pod.stop()
    pod.start()
    assert "no matching cipher" in (await failure(pod, OpenSshTransport(pod_config(pod)))).message
    pod.ssh_config.write_text(f"{jump.ssh_config.read_text()}{pod.ssh_config.read_text()}  ProxyJump {jump.alias}\n")
    no_longer_authorized(jump)
    refused = (await failure(pod, OpenSshTransport(pod_config(pod)))).message
    assert refused.startswith(f"the way to {pod.alias} is refused: ") and "Permission denied" in refused
    jump.stop()
    assert f"port {jump.port} refused the connection" in (await failure(pod, OpenSshTransport(pod_config(pod)))).message


def test_a_login_that_is_refused_is_not_tried_again(ssh_pod: MakeSshPod, project: MakeProject, ops: Ops) -> None:
    pod = ssh_pod(options=("LogLevel DEBUG1",))
    project(pod)
    no_longer_authorized(pod)
    assert ops("pod", "list", "--json").json["pods"][0]["state"] == "refused"
    assert tries(pod) == ["OpenSSH"]
