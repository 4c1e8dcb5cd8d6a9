"""Destinations and configuration files mean what they mean to the OpenSSH client."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from podops.config.destination import Destination
from podops.transport.ssh_config import resolve


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lium", Destination("lium")),
        ("root@203.0.113.7", Destination("203.0.113.7", "root")),
        ("root@host:30022", Destination("host", "root", 30022)),
        ("ssh://me@host:22", Destination("host", "me", 22)),
        ("me@[2001:db8::1]:2222", Destination("2001:db8::1", "me", 2222)),
        ("2001:db8::1", Destination("2001:db8::1")),
        ("user@domain@host", Destination("host", "user@domain")),
    ],
)
def test_a_destination_is_read_as_openssh_reads_it(text: str, expected: Destination) -> None:
    assert Destination.parse(text) == expected


@pytest.mark.parametrize("text", ["", "root@", "-oProxyCommand=x", "-x@host", "host:ssh"])
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Destination.parse(text)


def test_aliases_matches_and_home_folders_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        "Host a100\n  HostName 203.0.113.7\n  User ops\n  IdentityFile ~/.ssh/pod\n"
        "  UserKnownHostsFile ~/.ssh/pods\n  ProxyJump me@gate:2200,inner\n"
        "Match host 203.0.113.7\n  Port 30022\n"
    )
    host = resolve(Destination("a100"), None)
    assert host.login == "ops@203.0.113.7:30022"
    assert host.jumps == (Destination("gate", "me", 2200), Destination("inner"))
    assert host.identity_files == (tmp_path / ".ssh/pod",)
    # As OpenSSH has it, which asks the account database.
    assert host.host_keys.files[0] == Path(pwd.getpwuid(os.getuid()).pw_dir, ".ssh/pods")


def test_what_the_project_file_says_wins_over_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host pod\n  Port 1\n  User nobody\n  IdentityFile /elsewhere\n")
    host = resolve(Destination("pod", "root", 2222), str(config), "/my/key")
    assert (host.user, host.port, host.identity_files) == ("root", 2222, (Path("/my/key"),))
