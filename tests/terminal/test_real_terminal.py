"""The app in a real terminal, with keys alone: tmux is the terminal, a local pod does the work."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import IO, cast

import pytest
from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread

from podops_tui.terminal_driver import TerminalOutput
from tests.pods.conftest import MakeProject, MakeSshPod, Ops, ops_environment
from tests.pods.fleet_config import hand_made_run
from tests.pods.loopback import processes_with_env, wait_for
from tests.pods.ops_process import ops_words
from tests.pods.test_log_marks import FLOOD
from tests.terminal.terminal import Terminal, last_tick

TICKS = {
    "kind": "command",
    "command": 'i=0; while :; do i=$((i+1)); echo "tick $i of the run"; sleep 0.1; done',
}
AGAIN = {
    "kind": "command",
    "command": 'echo "this is attempt $OPS_ATTEMPT"; exit 3',
    "retries": {"max": 1, "on": ["nonzero_exit"], "backoff": "100ms"},
}
FLOODING = {"kind": "command", "command": FLOOD.replace("{", "{{").replace("}", "}}"), "max_log_size": "1MiB"}
PRESETS = {"ticks": TICKS, "short": {"kind": "command", "command": "echo done at once"}}


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 60)])
def test_a_run_is_submitted_watched_and_killed_with_keys_alone(
    terminal: Terminal, project: MakeProject, client_home: Path, columns: int, rows: int
) -> None:
    made = project("here", presets={"ticks": TICKS})
    terminal.start_ops(columns, rows, made.file, client_home)
    terminal.wait_for(r"here +● live")
    terminal.press("s")
    terminal.wait_for(r"Submit a run")
    terminal.wait_for(r"tick \$i of the run")
    terminal.press("C-s")
    shown = terminal.wait_for(r"● running")
    assert "ticks" in shown
    first = terminal.wait_for_tick(1)
    terminal.wait_for_tick(first + 8)
    terminal.press("x")
    terminal.wait_for(r"End this run")
    terminal.press("y")
    terminal.wait_for(r"⊘ cancelled")
    summaries = list(made.local_outputs_dir.glob("*/summary.json"))
    assert len(summaries) == 1
    assert json.loads(summaries[0].read_text())["reason"] == "user_kill"
    terminal.press("q")
    assert terminal.gone()


def test_waiting_runs_are_released_held_and_cancelled_with_keys_alone(
    terminal: Terminal, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    made = project("here", presets={"ticks": TICKS})
    ops("run", "submit", "--preset", "ticks", "--run-id", "first", "--hold")
    ops("run", "submit", "--preset", "ticks", "--run-id", "second", "--after", "first")
    terminal.start_ops(80, 24, made.file, client_home)
    terminal.wait_for(r"◌ queued +second +here +\S+ #1 run first")
    terminal.wait_for(r"not started: #1 waits for run first")
    terminal.press("h")
    terminal.wait_for(r"◌ held +second")
    terminal.press("H")
    terminal.wait_for(r"◌ queued +second")
    terminal.press("+")
    terminal.wait_for(r"#1 run first · priority 1")
    terminal.press("x")
    terminal.wait_for(r"Cancel this run\?")
    terminal.press("y")
    terminal.wait_for(r"⊘ cancelled +second")
    terminal.wait_for(r"it has printed nothing")
    terminal.press("Down", ":")
    terminal.wait_for(r"Search for commands")
    terminal.type("Release")
    terminal.wait_for(r"Let held runs start")
    terminal.press("Enter")
    terminal.wait_for(r"● running +first")
    assert not (made.local_outputs_dir / "second/stdout.log").exists(), "it was cancelled before it started"
    terminal.press("q")
    assert terminal.gone()
    ops("run", "kill", "first", "--yes", "--grace", "0.1")


def test_a_log_tells_where_attempts_begin_and_what_was_freed(
    terminal: Terminal, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    made = project("here", presets={"again": AGAIN, "flood": FLOODING})
    ops("run", "submit", "--preset", "flood", "--run-id", "f1")
    ops("run", "submit", "--preset", "again", "--run-id", "a1")
    assert ops("run", "wait", "a1").returncode == 1
    assert ops("run", "wait", "f1").returncode == 0
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"✗ failed +a1")
    terminal.press("Enter")
    terminal.wait_for(r"this is attempt 1 +│\n│── attempt 2, after nonzero_exit ── +│\n│this is attempt 2")
    terminal.press("7")
    terminal.wait_for(r"2 ✗ nonzero_exit \S+ +exit status 3")
    terminal.press("Escape")
    terminal.wait_for(r"✓ succeeded +f1")
    terminal.press("End", "Enter")
    terminal.wait_for(r"f1  ✓ succeeded(.|\n)*\d{15}")
    terminal.press("l")
    while "0" * 15 not in terminal.screen():
        # At the top, going up reads what comes before it.
        terminal.press("Home")
        terminal.wait_for(r"held still")
    terminal.press("/")
    terminal.wait_for("search the log")
    terminal.type("freed here")
    terminal.press("Enter")
    terminal.wait_for(r"⋯ \d\.\d MiB freed here by max_log_size ⋯")
    terminal.press("q")
    assert terminal.gone()


@pytest.mark.parametrize("place", ["local", "ssh"])
def test_attach_opens_the_runs_tmux_session_and_comes_back_to_a_living_app(
    terminal: Terminal, project: MakeProject, ssh_pod: MakeSshPod, ops: Ops, client_home: Path, place: str
) -> None:
    made = project("pod" if place == "local" else ssh_pod("pod"), presets=PRESETS)
    assert ops("run", "submit", "--preset", "ticks", "--pod", "pod", "--run-id", "watched").returncode == 0
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"● running +watched")
    before = terminal.wait_for_tick(1)
    terminal.press("a")
    shown = terminal.wait_for(r"\[run-watched\] .*ctrl-b ctrl-b d comes back to ops")
    assert "Runs" not in shown
    terminal.wait_for_tick(before + 10)
    # Keys sent to a pane do not pass the outer tmux, so its part of the two `ctrl-b` falls away.
    # One after the other: tmux takes keys that come within a millisecond for pasted ones.
    terminal.press("C-b")
    terminal.press("d")
    shown = terminal.wait_for(r"● running +watched")
    now = terminal.wait_for_tick(1)
    assert now > before
    terminal.wait_for_tick(now + 10)
    assert "connecting" not in terminal.screen()
    terminal.press("q")
    assert terminal.gone()


def test_attach_to_a_run_that_has_ended_or_whose_session_has_vanished_says_so(
    terminal: Terminal, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    made = project("pod", presets=PRESETS)
    ops("run", "submit", "--preset", "short", "--pod", "pod", "--run-id", "over")
    assert ops("run", "wait", "over").returncode == 0
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"✓ succeeded +over")
    terminal.press("a")
    terminal.wait_for(r"over has ended")
    ops("run", "submit", "--preset", "ticks", "--pod", "pod", "--run-id", "orphan")
    terminal.wait_for(r"● running +orphan")
    kill_session(made.tmux_socket, "run-orphan")
    terminal.press("Home", "a")
    shown = terminal.wait_for(r"run orphan has no tmux session on pod pod now")
    assert "press enter" not in shown and "can't find" not in shown


def test_runs_are_marked_copied_rerun_and_killed_together_with_keys_alone(
    terminal: Terminal, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    made = project("pod", presets=PRESETS)
    for run_id in ("first", "second"):
        ops("run", "submit", "--preset", "ticks", "--pod", "pod", "--run-id", run_id, "--tag", "night")
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"running +first")
    terminal.wait_for(r"running +second")
    terminal.tmux("set-option", "-s", "set-clipboard", "on")
    terminal.press("End", "y")
    terminal.wait_for(r"copied first")
    assert terminal.tmux("show-buffer") == "first"
    terminal.press("r")
    terminal.wait_for(r"tags +night")
    terminal.press("C-s")
    terminal.wait_for(r"2 Runs 3/3")
    terminal.wait_for(r"running +\d+-\d+-ticks")
    terminal.press("Home", "Space", "Space", "Space")
    terminal.wait_for(r"3 marked")
    terminal.press("x")
    terminal.wait_for(r"End these 3 runs\?")
    terminal.press("y")
    terminal.wait_for(r"(?s)⊘ cancelled.*⊘ cancelled.*⊘ cancelled")
    terminal.press("q")
    assert terminal.gone()


def test_a_pod_that_goes_away_leaves_its_runs_in_view_as_old_and_its_log_goes_on_when_it_is_back(
    terminal: Terminal, project: MakeProject, ssh_pod: MakeSshPod, ops: Ops, client_home: Path
) -> None:
    pod = ssh_pod("pod")
    made = project(pod, "here", presets=PRESETS)
    ops("run", "submit", "--preset", "ticks", "--pod", "pod", "--run-id", "watched")
    terminal.start_ops(100, 30, made.file, client_home)
    before = terminal.wait_for_tick(1)
    pod.stop()
    shown = terminal.wait_for(r"pod +✗ unreachable")
    assert re.search(r"here +● live", shown)
    assert last_tick(terminal.wait_for(r"running +watched +pod +\S+ as of \S+ ago")) >= before
    pod.start()
    terminal.press("1", "Home", "R")
    terminal.wait_for(r"pod +● live")
    now = terminal.wait_for_tick(1)
    terminal.wait_for_tick(now + 20)
    ticks = [int(tick) for tick in re.findall(r"tick (\d+) of the run", terminal.screen())]
    assert ticks == list(range(ticks[0], ticks[-1] + 1))
    terminal.press("q")
    assert terminal.gone()


def test_a_log_that_has_ended_is_read_back_to_its_first_line_and_searched(
    terminal: Terminal, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    rows = {"kind": "command", "command": 'for i in $(seq 1 3000); do echo "row $i of it"; done'}
    made = project("pod", presets={"rows": rows})
    ops("run", "submit", "--preset", "rows", "--pod", "pod", "--run-id", "long")
    assert ops("run", "wait", "long").returncode == 0
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"row 3000 of it")
    terminal.press("Enter", "Home")
    terminal.wait_for(r"before this")
    terminal.press("Up")
    terminal.wait_for(r"row 2499 of it")
    terminal.press("Home")
    terminal.wait_for(r"row 1 of it")
    terminal.press("/")
    terminal.type("ROW 1234 ")
    terminal.press("Enter")
    terminal.wait_for(r"row 1234 of it")
    terminal.press("q")
    assert terminal.gone()


def test_a_demo_whose_terminal_goes_away_leaves_nothing_behind(
    terminal: Terminal, client_home: Path, tmp_path: Path
) -> None:
    demo = tmp_path / "demo"
    given = [f"{name}={value}" for name, value in ops_environment(client_home).items()]
    words = ["env", *given, sys.executable, "-m", "podops.cli.main", "demo", "--dir", str(demo)]
    terminal.start(100, 30, shlex.join(words))
    terminal.wait_for(r"● running +\S+train")
    assert processes_with_env(str(demo))
    terminal.close()
    wait_for(lambda: not processes_with_env(str(demo)), "every process of the demo to be gone")


@pytest.mark.parametrize("redirection", ["2>errors", "2>&-"])
def test_an_app_whose_standard_error_goes_elsewhere_is_drawn_on_the_terminal(
    project: MakeProject, terminal: Terminal, client_home: Path, world: Path, redirection: str
) -> None:
    made = project("here", presets=PRESETS)
    words = ("env", *(f"{name}={value}" for name, value in ops_environment(client_home).items()))
    line = shlex.join([*words, *ops_words("--config", str(made.file))])
    terminal.start(80, 24, f"cd {world}; {line} {redirection}")
    terminal.wait_for("● live")
    terminal.press("q")
    assert terminal.gone()
    assert not (world / "errors").exists() or (world / "errors").read_bytes() == b""


def test_an_app_whose_terminal_goes_away_without_a_word_ends(project: MakeProject, client_home: Path) -> None:
    made = project("here", presets=PRESETS)
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    # Not its controlling terminal, whose end the kernel would tell by a signal.
    app = subprocess.Popen(
        ops_words("--config", str(made.file)),
        stdin=far,
        stdout=far,
        stderr=far,
        env=ops_environment(client_home),
        start_new_session=True,
    )
    os.close(far)
    try:
        shown = b""
        while "● live".encode() not in shown:
            shown += os.read(near, 65536)
        os.close(near)
        assert app.wait(60) == 128 + signal.SIGHUP
    finally:
        app.kill()
        app.wait()


def test_what_is_written_to_a_terminal_that_is_gone_holds_up_nobody() -> None:
    near, far = pty.openpty()
    told: list[str] = []
    with os.fdopen(far, "w") as terminal:
        writer = WriterThread(cast(IO[str], TerminalOutput(terminal, lambda: told.append("gone"))))
        writer.start()
        os.close(near)
        for _ in range(MAX_QUEUED_WRITES * 3):
            writer.write("a piece of the screen")
        writer.stop()
    assert told == ["gone"]


def kill_session(socket: str, session: str) -> None:
    subprocess.run(["tmux", "-L", socket, "kill-session", "-t", f"={session}"], check=True)


def test_a_log_that_cannot_be_read_is_told_with_the_reason_in_its_pane(
    terminal: Terminal, project: MakeProject, client_home: Path
) -> None:
    log = hand_made_run(client_home / "runs", "pipe")
    log.unlink()
    os.mkfifo(log)
    terminal.start_ops(80, 24, project("here").file, client_home)
    assert "nothing printed yet" not in terminal.wait_for("stdout.log cannot be read: it is not a regular file")
