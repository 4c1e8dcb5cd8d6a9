"""`ops` as a user runs it: a process, against a pod behind a real sshd and against this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.loopback import wait_for

PRESETS = {
    "loop": {"kind": "command", "command": "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"},
    "many": {"kind": "command", "command": "seq 1 10000; printf '\\377\\000\\033[2Jx\\r50%%|\\rdone\\n'"},
    "bad": {"kind": "command", "command": "echo 'ValueError: no'; exit 3"},
    "args": {"kind": "train", "command": "python3 -c 'import sys, json; print(json.dumps(sys.argv[1:]))'"},
}
ODD = ['a=it\'s "q"', "b=x; $(id) `id`", "c=two\nlines", "d=😀 é"]


@pytest.fixture
def used_before() -> bool:
    return False


@pytest.fixture(params=["ssh", "local"])
def pod(request: pytest.FixtureRequest, ssh_pod: MakeSshPod, project: MakeProject) -> str:
    """A project with one pod of this transport; its name."""
    project(ssh_pod("a100") if request.param == "ssh" else "a100", presets=PRESETS)
    return "a100"


def test_a_run_is_submitted_watched_killed_and_recorded(ops: Ops, pod: str) -> None:
    submitted = ops("run", "submit", "--preset", "loop", "--json").json
    assert {"ok", "run_id", "pod", "state", "run_dir", "command"} <= set(submitted)
    run_id = submitted["run_id"]
    status = ops("run", "status", run_id, "--json").json
    assert (status["run_id"], status["pod"]) == (run_id, pod)
    assert {"state", "reason", "heartbeat", "stdout_tail", "gpus", "wandb", "summary"} <= set(status)
    assert ops("run", "kill", run_id).returncode == 2, "without a terminal and --yes nothing is killed"
    killed = ops("run", "kill", run_id, "--yes", "--grace", "1", "--json")
    assert killed.returncode == 0, killed.stderr
    ended = ops("run", "status", "--run-id", run_id[:-1], "--json").json
    assert (ended["state"], ended["reason"], ended["summary"]["reason"]) == ("cancelled", "user_kill", "user_kill")
    listed = ops("run", "list", "--json").json
    assert [run["state"] for run in listed["runs"]] == ["cancelled"]
    assert ops("run", "wait", run_id).returncode == 1


def test_a_followed_log_is_byte_identical_and_ends_with_the_run(ops: Ops, pod: str) -> None:
    run_id = ops("run", "submit", "--preset", "many", "--run-id", "m1", "--json").json["run_id"]
    followed = ops("run", "tail", "-f", "-n", "100000", run_id, "--json")
    assert followed.returncode == 0, followed.stderr
    assert followed.json_lines[-1]["eof"] is True
    assert ops("run", "wait", run_id).returncode == 0
    record = ops("run", "status", run_id, "--json").json
    expected = len("".join(f"{n}\n" for n in range(1, 10001))) + len(b"\377\0\033[2Jx\r50%|\rdone\n")
    assert record["summary"]["log_bytes"] == expected
    assert record["stdout_tail"][-1] == "done"


def test_overrides_arrive_intact_whatever_stands_in_them(ops: Ops, pod: str) -> None:
    ops("run", "submit", "--preset", "args", "--run-id", "odd", *ODD)
    assert ops("run", "wait", "odd").returncode == 0
    assert json.loads(ops("run", "tail", "odd").stdout) == ODD


def test_without_a_terminal_ops_alone_tells_the_status_of_the_fleet(ops: Ops, pod: str) -> None:
    ops("run", "submit", "--preset", "bad", "--run-id", "b1")
    told = ops()
    assert (told.returncode, told.stdout.splitlines()[1].split()[:2]) == (0, [pod, "live"])
    assert "b1" in told.stdout
    assert [run["run_id"] for run in ops("--json").json["runs"]] == ["b1"]


def test_each_mistake_has_its_exit_code_and_names_the_thing(ops: Ops, pod: str) -> None:
    ops("run", "submit", "--preset", "bad", "--run-id", "b1")
    assert ops("run", "wait", "b1").returncode == 1
    status = ops("run", "status", "b1", "--json").json
    assert (status["state"], status["reason"]) == ("failed", "nonzero_exit")
    assert status["detail"].endswith("ValueError: no")
    mistakes = [
        (["run", "submit", "--preset", "bad", "--run-id", "b1"], 5, "b1"),
        (["run", "submit", "--preset", "bad", "--run-id", "../../x"], 2, "../../x"),
        (["run", "submit", "--preset", "lop"], 3, "lop"),
        (["run", "submit", "--preset", "bad", "--pod", "nopod"], 3, "nopod"),
        (["run", "submit", "--preset", "bad", "--pod", "a100", "--after", "zz"], 3, "no run 'zz' on pod a100"),
        (["run", "status", "nothing"], 3, "nothing"),
        (["run", "status"], 2, "seen last: b1 (failed on a100); `ops run list` has all"),
        (["run", "status", "b1", "--run-id", "b1"], 2, "name one run"),
    ]
    for arguments, code, named in mistakes:
        done = ops(*arguments)
        assert (done.returncode, named in done.stderr, "Traceback" in done.stderr) == (code, True, False), done
        error = ops(*arguments, "--json").json
        assert error["ok"] is False
        assert error["error"]["message"]


def test_a_pod_that_is_down_is_told_and_hides_nothing(ops: Ops, ssh_pod: MakeSshPod, project: MakeProject) -> None:
    up, down = ssh_pod("up"), ssh_pod("down")
    down.stop()
    project(up, down, presets=PRESETS)
    ops("run", "submit", "--preset", "bad", "--pod", "up", "--run-id", "x1")
    listed = ops("run", "list", "--json").json
    assert [run["run_id"] for run in listed["runs"]] == ["x1"]
    assert [pod["name"] for pod in listed["unreachable"]] == ["down"]
    assert ops("queue", "--json").json["unreachable"] == listed["unreachable"]
    states = {pod["name"]: pod["state"] for pod in ops("pod", "list", "--json").json["pods"]}
    assert states == {"up": "live", "down": "unreachable"}
    assert ops("run", "submit", "--preset", "bad", "--pod", "down").returncode == 4


def test_no_secret_of_the_submitting_shell_reaches_tmux_or_a_record(
    ops: Ops, project: MakeProject, tmux_socket: str
) -> None:
    made = project("here", presets=PRESETS)
    canary = "canary-5d1c2f"
    ops("run", "submit", "--preset", "loop", "--run-id", "s1", env={"WANDB_API_KEY": canary, "MY_TOKEN": canary})
    shown = subprocess.run(
        ["tmux", "-L", tmux_socket, "show-environment", "-g"], capture_output=True, text=True, check=True
    ).stdout
    assert "PATH=" in shown
    assert canary not in shown
    assert ops("run", "kill", "s1", "--yes", "--grace", "0.2").returncode == 0
    files = [path for path in made.local_outputs_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if canary in path.read_text(errors="replace")]


def test_an_outputs_root_that_cannot_be_written_is_named_with_the_cure(
    ops: Ops, project: MakeProject, client_home: Path
) -> None:
    project("here", presets=PRESETS)
    (client_home / "runs").write_text("in the way")
    done = ops("run", "submit", "--preset", "bad")
    assert done.returncode == 1
    assert str(client_home / "runs") in done.stderr
    assert "remote_outputs_dir" in done.stderr


def test_a_volume_that_went_away_is_told_beside_its_pod(ops: Ops, project: MakeProject) -> None:
    made = project("here", presets=PRESETS)
    assert f"{made.local_outputs_dir}: No such file or directory: a submit makes it" in ops("status").stdout
    ops("run", "submit", "--preset", "bad", "--run-id", "b1")
    assert "No such file" not in ops("status").stdout
    made.local_outputs_dir.rename(made.local_outputs_dir.with_name("unmounted"))
    for command in (["status"], ["pod", "list"]):
        assert f"{made.local_outputs_dir}: No such file or directory" in ops(*command).stdout


def test_a_dry_run_needs_no_pod_and_no_heavy_library(ops: Ops, ssh_pod: MakeSshPod, project: MakeProject) -> None:
    gone = ssh_pod("gone")
    gone.stop()
    project(gone, presets=PRESETS)
    done = ops("run", "submit", "--preset", "args", "--run-id", "d1", "--dry-run", "n=1")
    assert done.returncode == 0
    for part in ("python3 -c", "n=1", "~/runs/d1", "run-d1"):
        assert part in done.stdout
    code = "import sys; from podops.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print({'asyncssh','textual','pynvml','wandb','docker'} & set(sys.modules))"
    words = ["run", "submit", "--preset", "args", "--dry-run"]
    imported = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=gone.root.parent / "project"
    )
    assert imported.stdout.splitlines()[-1] == "set()"


def test_a_dry_run_says_what_a_submit_would_say_of_gpus_that_its_pod_is_known_to_lack(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject
) -> None:
    pod = ssh_pod("pod")
    project(pod, presets={"wide": {"kind": "command", "command": "true", "gpus": 8}})
    dry = ("run", "submit", "--preset", "wide", "--dry-run")
    assert ops(*dry, "--json").json["warnings"] == [], "nothing is known yet"
    assert "no GPU" in ops("run", "submit", "--preset", "wide").stderr
    # A command that asks for nothing else may be over before its pod has told of its GPUs.
    wait_for(lambda: ops("status", "--json").json["pods"][0]["host"]["sample"] is not None, "a sample")
    pod.stop()
    done = ops(*dry)
    assert done.returncode == 0 and "command    true" in done.stdout
    assert "warning: pod pod would refuse it: no GPU can be seen on this pod, as of " in done.stderr
    (told,) = ops(*dry, "--json").json["warnings"]
    assert "would refuse it" in told
    assert "would refuse" not in ops(*dry, "--gpus", "0").stderr
