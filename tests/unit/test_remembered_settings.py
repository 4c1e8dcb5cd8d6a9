"""`ssh -G` is asked once for what cannot have changed since, and anew for everything that may have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podops.config.destination import Destination
from podops.transport import openssh_config, remembered_settings
from podops.transport.ssh_config import resolve

pytestmark = pytest.mark.skipif(not Path("/usr/bin/ssh").exists(), reason="no OpenSSH client where it usually is")


class Asked:
    """Counts the questions; `again` forgets what this process knows, as the next one would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        run = openssh_config._run

        def counted(command: list[str]) -> remembered_settings.Said:
            self.count += "podops" not in command
            return run(command)

        monkeypatch.setattr(openssh_config, "_run", counted)

    def again(self) -> None:
        remembered_settings._notes.clear()
        openssh_config.default_values.cache_clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Asked]:
    counting = Asked(monkeypatch)
    counting.again()
    yield counting
    counting.again()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("OPS_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".ssh/pods.d").mkdir(parents=True)
    config(tmp_path).write_text(
        f"Include {tmp_path}/.ssh/pods.d/*.conf\nHost a100\n  HostName one.example\n  IdentityFile ${{GATE}}\n"
    )
    monkeypatch.setenv("GATE", "one")
    (tmp_path / ".ssh/pods.d/a.conf").write_text("Host a100\n  Port 2201\n  User ops\n")
    return tmp_path


def config(home: Path) -> Path:
    return home / ".ssh/config"


def port(alias: str = "a100") -> int:
    return resolve(Destination(alias), None).port


def test_the_next_process_knows_what_was_answered_and_so_does_this_one(asked: Asked) -> None:
    first = resolve(Destination("a100"), None)
    for _ in range(2):
        asked.again()
        same = resolve(Destination("a100"), None)
        assert (same.login, same.way, same.identity_files) == (first.login, first.way, first.identity_files)
        assert same.options == first.options
    assert asked.count == 1


def test_each_destination_has_an_answer_of_its_own(asked: Asked) -> None:
    logins = {resolve(named, None).login for named in (Destination("a100"), Destination("a100", "me", 7)) * 2}
    assert logins == {"ops@one.example:2201", "me@one.example:7"}
    assert asked.count == 2


CHANGES: dict[str, Callable[[Path, pytest.MonkeyPatch], Any]] = {
    "the file": lambda home, _: config(home).write_text("Host a100\n  Port 99\n"),
    "an included file": lambda home, _: (home / ".ssh/pods.d/a.conf").write_text("Host a100\n  Port 99\n"),
    "a file that is new among those included": lambda home, _: (home / ".ssh/pods.d/0.conf").write_text("Port 99\n"),
    "an included file that has gone": lambda home, _: (home / ".ssh/pods.d/a.conf").unlink(),
    "a variable that is named there": lambda _, patch: patch.setenv("GATE", "two"),
    "the home folder": lambda home, patch: patch.setenv("HOME", str(home / "elsewhere")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_after_any_change_of_what_it_was_made_from_it_is_asked_again(
    what: str, asked: Asked, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = port()
    CHANGES[what](home, monkeypatch)
    assert (port() == before) is (what == "a variable that is named there")
    assert asked.count == 2


DOUBTS = {
    "a command decides": 'Match exec "test -e {home}/moved"\n  Port 99\n',
    "a command decides, oddly written": 'match  originalhost=a100   EXEC="test -e {home}/moved"\n  Port 99\n',
    "a command decides in an included file": "Include {home}/.ssh/deciding\n",
    "the network decides": "Match localnetwork 10.0.0.0/8\n  Port 99\n",
    "a name server decides": "CanonicalizeHostname yes\nCanonicalDomains example\n",
    "an included file is named in quotes": 'Include "{home}/.ssh/quoted"\n',
    "an included file is in somebody's home": "Include ~nobody/.ssh/config\n",
    "the word itself is quoted": '"Include" {home}/.ssh/quoted\n',
}


@pytest.mark.parametrize("why", DOUBTS)
def test_what_may_change_while_no_file_does_is_never_remembered(why: str, asked: Asked, home: Path) -> None:
    (home / ".ssh/deciding").write_text(f'Match exec "test -e {home}/moved"\n  Port 99\n')
    (home / ".ssh/quoted").write_text("User ops\n")
    config(home).write_text(DOUBTS[why].format(home=home) + "Host a100\n  Port 2201\n")
    understood = _ssh_reads(config(home))
    for expected in (2201, 2201) if understood else ():
        asked.again()
        assert port() == expected
    (home / "moved").touch()
    if understood:
        assert port() == (99 if "command" in why else 2201)
        assert asked.count == 3
    assert not [line for note in notes(home) for line in note.read_text().splitlines() if "a100" in line]


def _ssh_reads(file: Path) -> bool:
    """Whether this OpenSSH knows every word of it."""
    return subprocess.run(["ssh", "-G", "-F", file, "a100"], capture_output=True).returncode == 0


def notes(home: Path) -> list[Path]:
    return list((home / ".local/state/podops/ssh-settings").glob("*.jsonl"))


def test_an_ssh_that_is_not_where_it_usually_is_has_files_nobody_knows_of(
    asked: Asked, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = home / "bin/ssh"
    own.parent.mkdir()
    own.write_text('#!/bin/sh\nexec /usr/bin/ssh -p $(cat "$HOME/port") "$@"\n')
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
    for number in (7, 8):
        (home / "port").write_text(str(number))
        assert port() == number
    assert asked.count == 2


@pytest.mark.parametrize("text", ["", "{", "null\tnull\n", "\t\n", "\xff\x00\n"])
def test_a_note_that_makes_no_sense_is_passed_over(text: str, asked: Asked, home: Path) -> None:
    port()
    questions = [line.partition("\t")[0] for note in notes(home) for line in note.read_text().splitlines()]
    for note in notes(home):
        note.write_text(text + "".join(f"{question}\t[7]\n" for question in questions), encoding="latin-1")
    asked.again()
    assert port() == 2201
    assert asked.count == 2


def test_where_nothing_can_be_noted_everything_is_asked(asked: Asked, home: Path) -> None:
    (home / ".local").write_text("no folder")
    assert (port(), port()) == (2201, 2201)
    asked.again()
    assert port() == 2201
    assert asked.count == 2


def test_notes_are_for_this_user_alone_and_few(asked: Asked, home: Path) -> None:
    for number in range(remembered_settings._KEPT + 5):
        config(home).write_text(f"Host a100\n  Port {2000 + number}\n")
        assert port() == 2000 + number
    assert len(notes(home)) == remembered_settings._KEPT
    assert {note.stat().st_mode & 0o077 for note in (*notes(home), notes(home)[0].parent)} == {0}


def test_a_configuration_that_ssh_refuses_is_told_as_before(asked: Asked, home: Path) -> None:
    config(home).write_text("Host a100\n  NoSuchThing yes\n")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"config: line 2: Bad configuration option: nosuchthing"):
            port()


_LOADS = "import sys; import podops.transport.openssh_config; print({'asyncssh'} & set(sys.modules))"


def test_asking_loads_nothing_heavy() -> None:
    assert subprocess.run([sys.executable, "-c", _LOADS], capture_output=True, text=True).stdout == "set()\n"
