"""What a run prints arrives as it was printed, steers no terminal, and nothing a run does escapes a kill."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.pods import hostile
from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, StartOps
from tests.pods.loopback import SshPod, processes_with_env, wait_for

KINDS = ("lines", "binary", "long", "tqdm", "steering")

STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[: int(sys.argv[1])]:
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("grandchild", os.getpid(), flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def pod(ssh_pod: MakeSshPod, project: MakeProject, world: Path) -> SshPod:
    """A project with one pod behind sshd and a preset for each kind of hostile output."""
    stubborn = world / "stubborn.py"
    stubborn.write_text(STUBBORN)
    presets = {what: {"kind": "command", "command": f"python3 {hostile.__file__} {what}"} for what in KINDS}
    presets["stubborn1"] = {"kind": "command", "command": f"python3 {stubborn} 1"}
    presets["stubborn3"] = {"kind": "command", "command": f"trap '' INT TERM; python3 {stubborn} 3; sleep 1000"}
    pod = ssh_pod("a100")
    project(pod, presets=presets)
    return pod


@pytest.mark.parametrize("what", KINDS)
def test_a_followed_log_arrives_byte_for_byte_in_a_pipe_and_harmless_on_a_terminal(
    ops: Ops, start_ops: StartOps, open_ops: OpenOps, pod: SshPod, what: str
) -> None:
    assert ops("run", "submit", "--preset", what, "--run-id", "h1").returncode == 0
    tail = start_ops("run", "tail", "-f", "-n", "1000000", "h1")
    received = tail.rest()
    assert tail.process.returncode == 0, tail.stderr
    assert received == (pod.outputs_dir / "h1/stdout.log").read_bytes()
    terminal = open_ops("run", "tail", "-f", "-n", "1000000", "h1")
    assert terminal.ended() == 0
    assert hostile.stray(terminal.output) == b""
    shown = {
        "lines": b"line 10000 of many",
        "binary": b"0123456789",
        "long": b"x" * 1_000_000 + b">",
        "tqdm": b"\r100%|##########| 100/100",
        "steering": b"\x1b[31mred\x1b[0m",
    }
    assert shown[what] in terminal.output


@pytest.mark.parametrize("what", KINDS)
def test_the_status_of_such_a_run_stays_small_printable_and_true(
    ops: Ops, open_ops: OpenOps, pod: SshPod, what: str
) -> None:
    ops("run", "submit", "--preset", what, "--run-id", "h1")
    assert ops("run", "wait", "h1").returncode == (1 if what == "steering" else 0)
    answer = ops("run", "status", "h1", "--json")
    status = json.loads(answer.stdout)
    assert answer.stdout.rstrip("\n").isprintable(), "JSON on a terminal steers it as little as text"
    assert status["state"] == ("failed" if what == "steering" else "succeeded")
    assert status["summary"]["log_bytes"] == (pod.outputs_dir / "h1/stdout.log").stat().st_size
    assert len(status["stdout_tail"]) <= 50 and sum(map(len, status["stdout_tail"])) <= 64 * 1024
    if what == "tqdm":
        assert status["stdout_tail"] == ["100%|##########| 100/100 [00:01<00:00]"]
    for words in (("run", "status", "h1"), ("run", "list"), ("status",)):
        terminal = open_ops(*words)
        assert terminal.ended() == 0
        assert hostile.stray(terminal.output) == b"", words
        assert b"h1" in terminal.output
    if what == "long":
        page = ops("run", "status", "h1").stdout
        assert max(map(len, page.splitlines())) < 1000 and re.search(r"x… \(\+[\d,]+ characters\)", page)
        assert max(map(len, status["stdout_tail"])) > 50_000, "a script gets it whole"


@pytest.mark.parametrize(("preset", "signal"), [("stubborn1", 15), ("stubborn3", 9)])
def test_a_run_that_ignores_signals_is_gone_after_a_kill_with_everything_it_started(
    ops: Ops, pod: SshPod, preset: str, signal: int
) -> None:
    ops("run", "submit", "--preset", preset, "--run-id", "s1")
    log = pod.outputs_dir / "s1/stdout.log"
    wait_for(lambda: log.exists() and "grandchild" in log.read_text(), "the grandchild")
    marked = f"OPS_RUN_DIR={pod.outputs_dir / 's1'}"
    assert len(processes_with_env(marked)) >= 2
    killed = ops("run", "kill", "s1", "--yes", "--grace", "1", "--json")
    assert killed.returncode == 0, killed.stderr
    assert [(run["state"], run["reason"]) for run in killed.json["runs"]] == [("cancelled", "user_kill")]
    assert processes_with_env(marked) == []
    summary = json.loads((pod.outputs_dir / "s1/summary.json").read_text())
    assert (summary["ok"], summary["state"], summary["reason"]) == (False, "cancelled", "user_kill")
    assert summary["signal"] == signal
    steps = [json.loads(line)["event"] for line in (pod.outputs_dir / "s1/events.jsonl").read_text().splitlines()]
    assert steps.index("kill_requested") < steps.index("stopping") < steps.index("ended")
