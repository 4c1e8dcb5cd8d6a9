"""The app on what it remembers: shown at once, as old, and given up for what the pod says; its links serve commands."""

from __future__ import annotations

from pathlib import Path

from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.loopback import wait_for
from tests.terminal.terminal import Terminal

PRESETS = {"say": {"kind": "command", "command": "echo the last words; until [ -e ~/go ]; do sleep 0.05; done"}}


def test_the_app_shows_what_it_saw_before_as_old_until_the_pod_speaks(
    terminal: Terminal, project: MakeProject, ssh_pod: MakeSshPod, ops: Ops, client_home: Path
) -> None:
    pod = ssh_pod("a100")
    made = project(pod, presets=PRESETS)
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1").returncode == 0
    wait_for(lambda: "the last words" in ops("run", "status", "r1").stdout, "the run to print")
    pod.stop()
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"running +r1 .*as of \d+")
    terminal.wait_for(r"remembered on this machine ⋯(?s:.*)the last words")
    pod.start()
    terminal.press("R")
    terminal.wait_for(r"a100 +● live")
    (pod.home / "go").touch()
    shown = terminal.wait_for(r"✓ succeeded")
    assert "as of" not in shown
    wait_for(lambda: "remembered" not in terminal.screen(), "the log as the pod tells it")
    terminal.wait_for(r"the last words")
    terminal.press("q")
    assert terminal.gone()


def metric(name: str) -> str:
    """A command that writes down one value of a metric."""
    # Braces in a command would be places to fill in.
    return f"python3 -c 'import json; print(json.dumps(dict(step=1, {name}=1)))' >> metrics.jsonl"


def test_a_run_that_is_submitted_anew_is_shown_and_remembered_with_its_own_log_alone(
    terminal: Terminal, project: MakeProject, ssh_pod: MakeSshPod, ops: Ops, client_home: Path
) -> None:
    pod = ssh_pod("a100")
    presets = {
        "old": {
            "kind": "command",
            "command": f"for i in $(seq 200); do echo OLD attempt line $i; done; {metric('stale')}",
        },
        "new": {"kind": "command", "command": f"for i in 1 2 3 4 5; do echo fresh line $i; done; {metric('timely')}"},
    }
    made = project(pod, presets=presets)
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"a100 +● live")
    assert ops("run", "submit", "--preset", "old", "--run-id", "r1").returncode == 0
    terminal.wait_for(r"OLD attempt line 200")
    terminal.wait_for(r"succeeded +r1")
    terminal.press("\r")
    terminal.press("m")
    terminal.wait_for(r"stale +1")
    assert ops("run", "submit", "--preset", "new", "--run-id", "r1", "--force").returncode == 0
    assert "stale" not in terminal.wait_for(r"timely +1")
    terminal.press("l")
    shown = terminal.wait_for(r"fresh line 5")
    assert "OLD" not in shown and "fresh line 1" in shown
    terminal.wait_for(r"✓ succeeded")
    terminal.press("q")
    assert terminal.gone()
    pod.stop()
    told = ops("run", "tail", "r1")
    assert (told.returncode, told.stdout) == (4, "".join(f"fresh line {i}\n" for i in range(1, 6)))


def test_commands_use_the_links_of_the_app_and_outlive_it(
    terminal: Terminal, project: MakeProject, ssh_pod: MakeSshPod, ops: Ops, client_home: Path
) -> None:
    pod = ssh_pod("a100")
    made = project(pod, presets=PRESETS)
    # The same file named in the same way as the app's: `ops` finds it by itself.
    terminal.start_ops(100, 30, made.file, client_home)
    terminal.wait_for(r"a100 +● live")
    logins = (pod.root / "sshd.log").read_text().count("Accepted publickey")
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1").returncode == 0
    assert ops("run", "status", "r1", "--json").json["state"] in ("starting", "running")
    assert "held by the app" in ops("doctor").stdout
    assert (pod.root / "sshd.log").read_text().count("Accepted publickey") == logins + 1, "doctor alone logs in"
    terminal.press("q")
    assert terminal.gone()
    assert ops("run", "status", "r1", "--json").json["source"] == "pod"
