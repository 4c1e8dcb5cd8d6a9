"""Commands while one pod of the fleet is silent: it takes the connection and says nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, StartOps
from tests.pods.loopback import SshPod, wait_for

PRESETS = {
    "end": {"kind": "command", "command": "echo the end"},
    "long": {"kind": "command", "command": "sleep 600"},
}

#: How long `ops` would wait for a pod, and how long a command takes at most that does not, seconds.
PATIENCE, SOON_S = "120", 60.0


@pytest.fixture
def silent(ssh_pod: MakeSshPod, project: MakeProject, ops: Ops) -> Iterator[SshPod]:
    """A pod that is remembered to have the run `twin-silent`; beside it `here` has `done1` and `long1`."""
    pod = ssh_pod("silent")
    project(pod, "here", presets=PRESETS)
    assert ops("run", "submit", "--preset", "end", "--pod", "silent", "--run-id", "twin-silent").returncode == 0
    assert ops("run", "submit", "--preset", "end", "--pod", "here", "--run-id", "done1").returncode == 0
    assert ops("run", "submit", "--preset", "long", "--pod", "here", "--run-id", "long1").returncode == 0
    assert ops("run", "wait", "done1", "twin-silent").returncode == 0
    _send(pod, signal.SIGSTOP)
    yield pod
    _send(pod, signal.SIGCONT)


def asked(pod: SshPod) -> bool:
    """Whether somebody has connected to it; the kernel takes connections in its place."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[2].endswith(f":{pod.port:04X}") and row[3] == _ESTABLISHED for row in rows)


_ESTABLISHED = "01"


def _send(pod: SshPod, number: signal.Signals) -> None:
    assert pod.process is not None
    pod.process.send_signal(number)


def test_a_run_on_a_pod_that_answers_is_not_kept_waiting_by_one_that_is_silent(ops: Ops, silent: SshPod) -> None:
    for words in (
        ("run", "status", "done1"),
        ("run", "status", "don"),
        ("run", "tail", "-n", "1", "done1"),
        ("run", "search", "done1", "end"),
        ("run", "wait", "done1"),
        ("run", "submit", "--preset", "end", "--after-any", "long1", "--run-id", "next1"),
        ("queue", "hold", "next1"),
        ("run", "kill", "-y", "long1"),
    ):
        begun = time.monotonic()
        done = ops("--timeout", PATIENCE, *words)
        assert (done.returncode, time.monotonic() - begun < SOON_S) == (0, True), (words, done)


def test_a_prefix_waits_for_a_pod_that_is_remembered_to_have_such_a_run(
    ops: Ops, start_ops: StartOps, silent: SshPod
) -> None:
    twin = ("run", "submit", "--preset", "end", "--pod", "here", "--run-id", "twin-here")
    assert ops("--timeout", PATIENCE, *twin).returncode == 0
    asking = start_ops("--timeout", PATIENCE, "run", "status", "twin")
    wait_for(lambda: asked(silent), "it to ask the silent pod")
    with pytest.raises(subprocess.TimeoutExpired):
        asking.process.wait(3)
    _send(silent, signal.SIGCONT)
    assert asking.rest() == b"" and asking.process.wait() == 2
    assert "names 2 runs" in asking.stderr


def test_a_few_letters_end_no_run_while_a_silent_pod_may_have_another_by_them(ops: Ops, silent: SshPod) -> None:
    killed = ops("--timeout", "5", "run", "kill", "-y", "long")
    assert (killed.returncode, "write its whole id: long1" in killed.stderr) == (4, True), killed
    assert ops("--timeout", PATIENCE, "run", "status", "long1", "--json").json["state"] == "running"


def test_a_terminal_is_told_who_is_waited_for_and_a_pipe_is_not(ops: Ops, open_ops: OpenOps, silent: SshPod) -> None:
    terminal = open_ops("--timeout", "8", "run", "list")
    begun = time.monotonic()
    listed = ops("--timeout", "8", "run", "list")
    assert time.monotonic() - begun < SOON_S
    assert "waiting" not in listed.stderr + listed.stdout
    assert terminal.ended() == 0
    told, _, table = terminal.output.partition(b"pod silent is unreachable")
    # As many of them as were left when the command itself had started.
    assert re.search(rb"waiting for silent \(up to [1-7] s\)", told)
    assert told.endswith(b"\r\x1b[K") and b"waiting" not in table, "the line is gone when it is over"


def test_a_pod_that_was_just_silent_gets_a_moment_of_a_list_on_a_terminal_and_all_the_time_elsewhere(
    ops: Ops, open_ops: OpenOps, silent: SshPod
) -> None:
    listed = ops("--timeout", "10", "run", "list")
    assert "pod silent is unreachable" in listed.stderr
    for words, shown in ((("run", "list"), b"done1"), (("pod", "list"), b"here"), (("status",), b"done1")):
        begun = time.monotonic()
        terminal = open_ops(*words)
        assert terminal.ended() == 0
        assert time.monotonic() - begun < 10
        assert shown in terminal.output and b"not waited for silent, silent " in terminal.output
        assert b"unreachable" not in terminal.output, "nobody has asked it long enough to say so"
    begun = time.monotonic()
    assert "not waited for" not in ops("run", "list", "--json").stderr
    assert time.monotonic() - begun > 13
    _send(silent, signal.SIGCONT)
    assert b"twin-silent" in ops("run", "list", "--json").stdout.encode()
    terminal = open_ops("run", "list")
    assert terminal.ended() == 0 and b"not waited for" not in terminal.output and b"twin-silent" in terminal.output


def test_what_is_remembered_of_a_silent_pod_is_not_called_no_runs(ops: Ops, silent: SshPod) -> None:
    listed = ops("--timeout", "2", "run", "list", "--pod", "silent")
    assert (listed.returncode, listed.stdout) == (4, ""), listed
    assert "what is remembered of a run there is shown with --all" in listed.stderr
    assert ops("--timeout", "2", "run", "list", "--state", "held").stdout == "no runs on the pods that answer\n"
