"""A command lets `ssh` log in while it loads the rest: never to another place, never once more than it needs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.loopback import SshPod, command_line, processes_with_env, wait_for
from tests.pods.provider import Provider


def logins(pod: SshPod) -> int:
    return (pod.root / "sshd.log").read_text().count("Accepted publickey")


def notes(home: Path) -> list[Path]:
    return list((home / ".local/state/podops/ways").glob("*.json"))


@pytest.fixture
def far(ssh_pod: MakeSshPod) -> SshPod:
    return ssh_pod("far", options=("LogLevel VERBOSE",))


def test_each_command_logs_in_once_also_when_ssh_was_started_early(
    far: SshPod, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    project(far)
    for commands in (1, 2, 3):
        assert ops("run", "list").returncode == 0
        assert logins(far) == commands
    assert len(notes(client_home)) == 1


_TELLS = """
import sys
from podops.cli.main import main
def tell(event, arguments):
    if event == "subprocess.Popen":
        program = "ssh" if "ssh" in arguments[1] else arguments[0]
        print(program, *{"click", "dataclasses", "asyncio"} & set(sys.modules), file=sys.stderr)
sys.addaudithook(tell)
main()
"""


def test_ssh_is_started_before_the_words_of_the_command_are_read(
    far: SshPod, project: MakeProject, ops: Ops, ops_env: Callable[..., dict[str, str]], world: Path
) -> None:
    project(far)
    assert ops("run", "list").returncode == 0
    words = [sys.executable, "-c", _TELLS, "run", "list", "--json", "--pod=far"]
    done = subprocess.run(words, cwd=world / "project", env=ops_env(), capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["unreachable"] == []
    assert done.stderr == "ssh\n"


@pytest.mark.parametrize("words", ["--help", "run list --help", "run --pod far", "queue list --pod nowhere"])
def test_a_command_that_asks_no_pod_logs_in_nowhere(words: str, far: SshPod, project: MakeProject, ops: Ops) -> None:
    project(far)
    assert ops("run", "list").returncode == 0
    ops(*words.split())
    assert logins(far) == 1


def test_a_note_of_another_command_is_not_followed_and_what_it_started_is_ended(
    far: SshPod, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    project(far)
    assert ops("run", "list").returncode == 0
    (note,) = notes(client_home)
    (line,) = json.loads(note.read_text()).values()
    note.write_text(json.dumps({"far": [*line[:-1], "exec cat"]}))
    listed = ops("run", "list", "--json")
    assert (listed.returncode, listed.json["unreachable"]) == (0, [])
    assert json.loads(note.read_text())["far"] == line
    wait_for(lambda: not any(command_line(pid) == "cat" for pid in processes_with_env(f"HOME={far.home}")), "its end")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"far": 7}', '{"far": []}', '{"far": ["/no/such/program", "x"]}'])
def test_a_note_that_makes_no_sense_is_passed_over(
    text: str, far: SshPod, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    project(far)
    assert ops("run", "list").returncode == 0
    (note,) = notes(client_home)
    note.write_text(text)
    listed = ops("run", "list", "--json")
    assert (listed.returncode, listed.json["unreachable"], listed.stderr) == (0, [], "")


def test_after_any_change_of_the_project_or_of_the_ssh_settings_nothing_is_started_early(
    far: SshPod, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    made = project(far)
    assert ops("run", "list").returncode == 0
    far.stop()
    elsewhere = re.sub(r"Port \d+", "Port 1", far.ssh_config.read_text())
    far.ssh_config.write_text(elsewhere)
    assert ops("run", "list").returncode == 4
    made.file.write_text(made.file.read_text() + "\n")
    assert ops("run", "list").returncode == 4
    assert len(notes(client_home)) == 1


def test_how_a_rented_pod_was_reached_is_not_noted(
    far: SshPod, world: Path, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    provider = Provider(world / "provider")
    provider.tell(far)
    project(pod_sources=[provider.source(far.ssh_config, interval="1h")])
    assert ops("run", "list").returncode == 0
    assert (logins(far), notes(client_home)) == (1, [])
