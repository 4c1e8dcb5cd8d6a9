"""What a user can rely on from `ops doctor`: each fault of a machine or pod is found, told once, and has its cure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podops.doctor.pods import clock_check, findings
from podops_runners.pod_check import mount_of
from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops
from tests.pods.loopback import wait_for

Found = dict[tuple[str, str], tuple[str, str, str]]


def found(result: Any) -> Found:
    """`(subject, what)` to `(level, message, hint)` of a `doctor --json`."""
    return {(c["subject"], c["what"]): (c["level"], c["message"], c["hint"]) for c in result.json["checks"]}


@pytest.fixture
def nowhere() -> Iterator[Path]:
    """A path on the root file system, outside any home, that is not there."""
    root = Path(f"/podops-test-{uuid.uuid4().hex[:8]}")
    yield root / "runs/demo"
    assert not root.exists(), "an outputs root was made where a volume may be missing"


def git_repository(path: Path) -> Path:
    subprocess.run(["git", "init", "-q", path], check=True)
    return path


def test_a_fleet_in_good_order_has_no_fault_and_exit_code_0(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject, world: Path
) -> None:
    far = ssh_pod("far")
    (far.home / "data").mkdir()
    git_repository(far.home / "repo")
    git_repository(world / "client-home/repo")
    (world / "client-home/data").mkdir()
    made = project(
        far,
        "near",
        project={
            "name": "demo",
            "remote_outputs_dir": "~/runs",
            "remote_repo_dir": "~/repo",
            "venv_python": sys.executable,
        },
        storage={"datasets_root": "~/data"},
    )
    (made.file.parent / "project.local.yaml").write_text("defaults: {timeout: 1h}\n")
    result = ops("doctor", "--json", env={"OPS_TMUX__SESSION_PREFIX": "r"})
    assert result.returncode == 0, result.stdout
    checks = found(result)
    assert {level for level, _, _ in checks.values()} <= {"ok", "warn"}
    _, sources, _ = checks["this machine", "project"]
    for part in ("project.yaml", "project.local.yaml over it", "OPS_TMUX__SESSION_PREFIX"):
        assert part in sources
    assert checks["this machine", "known_hosts"][1] == "has pod far"
    assert checks["this machine", "identity"][:2] == ("ok", str(far.user_key))
    for pod in ("pod far", "pod near"):
        for what in ("link", "tmux", "remote_outputs_dir", "remote_repo_dir", "venv_python", "datasets_root", "clock"):
            assert checks[pod, what][0] == "ok", checks[pod, what]
        assert "the first submit makes it" in checks[pod, "remote_outputs_dir"][1]
    assert not far.outputs_dir.exists(), "doctor made something"


@pytest.mark.parametrize("transport", ["ssh", "local"])
def test_each_fault_of_a_pod_is_named_with_its_cure(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject, nowhere: Path, world: Path, transport: str
) -> None:
    pod = ssh_pod("p") if transport == "ssh" else "p"
    home = world / ("pod-p/home" if transport == "ssh" else "client-home")
    (home / "plain").mkdir()
    project(
        pod,
        project={
            "name": "demo",
            "remote_outputs_dir": str(nowhere),
            "remote_repo_dir": "~/plain",
            "venv_python": "/nowhere/bin/python",
        },
        storage={"hf_home": "/nowhere/hf", "datasets_root": "/nowhere/data", "wandb": {"mode": "online"}},
        presets={"t": {"kind": "command", "command": "true", "gpus": 1}},
    )
    result = ops("doctor", "--pod", "p", "--json")
    assert result.returncode == 1
    checks = found(result)
    expected = {
        "remote_outputs_dir": ("fail", str(nowhere), "mkdir -p"),
        "remote_repo_dir": ("warn", "not a git work tree", "clone"),
        "venv_python": ("fail", "/nowhere/bin/python does not run", "correct venv_python"),
        "datasets_root": ("fail", "/nowhere/data does not exist", "mount"),
        "hf_home": ("warn", "/nowhere/hf does not exist", "mounted"),
        "wandb": ("fail", "credentials: no", "wandb login"),
    }
    for what, (level, message, hint) in expected.items():
        got = checks["pod p", what]
        assert (got[0], message in got[1], hint in got[2]) == (level, True, True), got
    told = ops("doctor", "--pod", "p")
    assert told.returncode == 1
    assert "→ " in told.stdout and "faults" in told.stderr
    submitted = ops("run", "submit", "--preset", "t", "--gpus", "0")
    assert (submitted.returncode, "mkdir -p" in submitted.stderr) == (1, True), submitted


def test_a_missing_outputs_root_is_made_once_a_person_has_said_that_no_volume_is_missing(
    ops: Ops, open_ops: OpenOps, ssh_pod: MakeSshPod, project: MakeProject
) -> None:
    root = Path(f"/podops-test-{uuid.uuid4().hex[:8]}")
    project(ssh_pod("p"), project={"name": "demo", "remote_outputs_dir": str(root / "runs")})
    try:
        unasked = ops("doctor", "--fix", "--yes")
        assert unasked.returncode == 1 and not root.exists()
        assert f"left out, as --yes is no answer to this: Make {root}/runs" in unasked.stderr
        for answer, made in (("n", False), ("y", True)):
            terminal = open_ops("doctor", "--fix")
            terminal.wait_for(rf"Make {root}/runs on pod p\? .* volume .* \[y/N\]")
            terminal.press(f"{answer}\n")
            terminal.ended()
            assert (root / "runs").is_dir() == made
        assert found(ops("doctor", "--json"))["pod p", "remote_outputs_dir"][0] == "ok"
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_credentials_are_told_as_yes_and_never_shown(ops: Ops, project: MakeProject, client_home: Path) -> None:
    project("here", storage={"wandb": {"mode": "online"}})
    netrc = client_home / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password canary-77c1\n")
    netrc.chmod(0o600)
    result = ops("doctor", "--json")
    assert found(result)["pod here", "wandb"] == ("ok", "credentials: yes", "")
    assert "canary" not in result.stdout + result.stderr


def test_runs_in_memory_or_on_the_containers_own_layer_are_warned_of(ops: Ops, project: MakeProject) -> None:
    memory = Path(f"/dev/shm/podops-test-{uuid.uuid4().hex[:8]}")
    project("here", project={"name": "demo", "remote_outputs_dir": str(memory / "runs")})
    try:
        level, message, hint = found(ops("doctor", "--json"))["pod here", "volume"]
        assert (level, "tmpfs" in message, "volume" in hint) == ("warn", True, True)
        submitted = ops("run", "submit", "--preset", "hello", "--run-id", "h")
        assert submitted.returncode == 0, "a mounted file system is not a missing volume"
        assert ops("run", "wait", "h").returncode == 0
    finally:
        subprocess.run(["rm", "-rf", memory], check=True)
    mounts = (
        "30 1 0:26 / / rw,relatime - overlay overlay rw\n"
        "31 30 8:1 / /mnt/my\\040data rw shared:1 - ext4 /dev/sdb1 rw\n"
        "garbage\n"
    )
    assert mount_of("/mnt/runs", mounts) == ("/", "overlay")
    assert mount_of("/mnt/my data/runs", mounts) == ("/mnt/my data", "ext4")
    assert mount_of("/mnt/my database", mounts) == ("/", "overlay")


def test_a_pod_that_cannot_be_reached_or_trusted_is_a_fault_with_the_line_to_run(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject
) -> None:
    down, unknown, open_to_all = ssh_pod("down"), ssh_pod("unknown"), ssh_pod("open")
    down.stop()
    unknown.known_hosts.write_text("")
    open_to_all.user_key.chmod(0o644)
    project(down, unknown, open_to_all)
    checks = found(ops("doctor", "--json"))
    assert checks["pod down", "link"][0] == "fail"
    assert "refused the connection" in checks["pod down", "link"][1]
    assert checks["pod unknown", "link"][0] == "fail"
    assert checks["pod open", "link"][0] == "fail"
    assert f"ssh ignores {open_to_all.user_key}, which others can read" in checks["pod open", "link"][1]
    assert ("this machine", "known_hosts") not in checks or checks["this machine", "known_hosts"][0] == "ok"
    text = ops("doctor").stdout
    assert text.count(f"ssh-keyscan -p {unknown.port}") == 1, "one fault, one cure"
    assert text.count(f"chmod 600 {open_to_all.user_key}") == 2


def test_an_agent_is_counted_and_a_dead_one_is_told(ops: Ops, ssh_pod: MakeSshPod, project: MakeProject) -> None:
    pod = ssh_pod("p")
    project(pod)
    socket = pod.root / "agent.sock"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        add = ["ssh-add", "-q", str(pod.user_key)]
        wait_for(lambda: subprocess.run(add, env=environment, capture_output=True).returncode == 0, "the agent")
        told = found(ops("doctor", "--json", env={"SSH_AUTH_SOCK": str(socket)}))
        assert told["this machine", "ssh agent"][:2] == ("ok", "holds 1 key")
    finally:
        agent.terminate()
        agent.wait(10)
    dead = found(ops("doctor", "--json", env={"SSH_AUTH_SOCK": str(socket)}))
    assert dead["this machine", "ssh agent"][0] == "warn"


def test_without_a_project_file_the_machine_is_checked_all_the_same(ops: Ops, world: Path) -> None:
    result = ops("doctor", cwd=world)
    assert result.returncode == 2
    assert "podops: " in result.stdout and "locale: " in result.stdout
    assert "there is no project file" in result.stderr


def test_a_clock_is_judged_by_what_the_way_there_and_back_lets_one_know() -> None:
    assert clock_check("pod p", 1000.0, 999.0, 1001.0).level == "ok"
    assert clock_check("pod p", 1007.0, 990.0, 1010.0).level == "ok", "a slow answer is no proof"
    late = clock_check("pod p", 900.0, 999.9, 1000.1)
    assert (late.level, late.message) == ("warn", "100 s behind this machine's")


def test_a_pod_cannot_bring_doctor_down_or_steer_the_terminal() -> None:
    sent = [None, 7, {}, {"level": "bad"}, {"level": "ok", "subject": "\x1b[2J", "message": 3, "hint": "a\nb"}]
    checks = list(findings("pod p", sent))
    assert [(check.what, check.message, check.hint) for check in checks] == [("[2J", "", "a b")]
    assert list(findings("pod p", "nonsense")) == []
