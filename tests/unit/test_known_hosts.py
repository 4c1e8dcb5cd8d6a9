"""Host keys are found as asyncssh finds them when it reads the whole file, and the file is read once for all pods."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.known_hosts import SSHKnownHosts

from podops.transport.known_hosts import KnownHosts, read_known_hosts


def _key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


LINES = [
    f"plain {_key()}",
    f"plain,192.0.2.7 {_key()} with a comment",
    f"[plain]:2222 {_key()}",
    f"[192.0.2.7]:2222 {_key()}",
    f"*.example,!bad.example {_key()}",
    f"192.0.2.0/24 {_key()}",
    f"@cert-authority *.example {_key()}",
    f"@revoked plain {_key()}",
    f"@nonsense plain {_key()}",
    "# plain no key at all",
    "plain",
    "plain ssh-ed25519 notbase64",
    "|1|notbase64|neither " + _key(),
    "",
]

PLACES = [("plain", "", None), ("plain", "192.0.2.7", None), ("plain", "192.0.2.7", 2222), ("good.example", "", 7)]
PLACES += [("bad.example", "198.51.100.1", None), ("unknown", "198.51.100.1", 22), ("192.0.2.9", "192.0.2.9", None)]


@pytest.mark.parametrize("place", PLACES)
def test_the_keys_of_a_host_are_those_that_asyncssh_finds(place: tuple[str, str, int | None]) -> None:
    assert _blobs(KnownHosts(["\n".join(LINES)]).match(*place)) == _blobs(_whole(LINES).match(*place))


@pytest.mark.parametrize("place", PLACES)
def test_hashed_names_too(place: tuple[str, str, int | None], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("\n".join(LINES[:4]) + "\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    hashed = file.read_text().splitlines()
    assert all(line.startswith("|1|") for line in hashed)
    assert _blobs(read_known_hosts([file]).match(*place)) == _blobs(_whole(hashed).match(*place))


def test_a_file_is_read_anew_when_it_has_changed_and_not_before(tmp_path: Path) -> None:
    file, missing = tmp_path / "known_hosts", tmp_path / "missing"
    file.write_text(LINES[0])
    first = read_known_hosts([file, missing])
    assert read_known_hosts([file, missing]) is first
    missing.write_text(LINES[2])
    assert len(read_known_hosts([file, missing]).match("plain", "", 2222)[0]) == 1
    file.write_text("")
    assert read_known_hosts([file]).match("plain", "", None)[0] == []


def _whole(lines: list[str]) -> SSHKnownHosts:
    store = SSHKnownHosts()
    for line in lines:
        try:
            store.load(line)
        except ValueError:
            continue
    return store


def _blobs(found: Any) -> list[set[bytes]]:
    return [{key.public_data for key in keys} for keys in found[:3]]
