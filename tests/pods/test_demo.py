"""`ops demo --headless`, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from podops.demo.demo import prepare_demo
from podops.link.pod_archive import pod_archive
from podops_runners import agent_process, machine, process, queue_gate
from tests.pods.loopback import processes_with_env, wait_for
from tests.pods.ops_process import ops_words


@pytest.fixture
def used_before() -> bool:
    return False


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder for tmux, whose sockets must not lie as deep as a test's own folder does."""
    with tempfile.TemporaryDirectory(prefix="podops-test-") as folder:
        yield Path(folder)


def test_every_run_of_the_demo_ends_as_it_should_and_nothing_is_left_running(tmp_path: Path, sockets: Path) -> None:
    demo = tmp_path / "demo"
    command = [sys.executable, "-m", "podops.cli.main", "demo", "--headless", "--json", "--dir", str(demo)]
    command += ["max_iters=60", "eval_interval=30"]
    env = {**os.environ, "TMUX_TMPDIR": str(sockets)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not processes_with_env(str(demo)), "every process of the demo to be gone")
    assert list(sockets.rglob("podops*")) == []
    document = json.loads(done.stdout)
    assert document["ok"] is True
    ends = sorted((run["preset"], run["state"], run["reason"]) for run in document["runs"])
    assert ends == [
        ("crash", "failed", "nonzero_exit"),
        ("eval", "succeeded", "ok"),
        ("serve", "cancelled", "user_kill"),
        ("train", "succeeded", "ok"),
        ("train", "succeeded", "ok"),
    ]
    runs = list((tmp_path / "demo/runs").glob("*/*"))
    assert len(runs) == 5
    for run in runs:
        assert all((run / name).is_file() for name in ("command.sh", "run_metadata.json", "stdout.log", "summary.json"))
        assert process.run_tree(None, str(run)) == set()
    assert any((run / "results.jsonl").stat().st_size for run in runs if (run / "results.jsonl").exists())
    assert any(list((run / "checkpoints").glob("*")) for run in runs if (run / "checkpoints").is_dir())


def test_a_temporary_demo_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.STATE_DIR_VARIABLE, "")
    demo = prepare_demo()
    demo.take_machine()
    assert (demo.directory / "project.yaml").exists()
    demo.close()
    assert not demo.directory.exists()
    wait_for(lambda: not processes_with_env(str(demo.directory)), "every process of the demo to be gone")


def test_a_machine_that_is_being_ended_starts_no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.STATE_DIR_VARIABLE, str(tmp_path / "state"))
    archive = tmp_path / "podops.pyz"
    archive.write_bytes(pod_archive()[0])
    queue_gate.close()
    agent_process.ensure_running()
    assert subprocess.run([sys.executable, "-I", "-S", archive, "agent"], check=True, timeout=30).returncode == 0
    assert agent_process.status() is None
    assert sorted(path.name for path in (tmp_path / "state").glob("*.json")) == []


def test_a_submit_that_is_under_way_while_the_demo_ends_starts_nothing(
    tmp_path: Path, client_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = prepare_demo(tmp_path / "demo")
    monkeypatch.setenv(machine.STATE_DIR_VARIABLE, "")
    demo.take_machine()
    script = tmp_path / "slow-credentials.sh"
    script.write_text(f"touch {tmp_path}/under-way\nuntil [ -e {tmp_path}/go ]; do sleep 0.05; done\n")
    project = yaml.safe_load((demo.directory / "project.yaml").read_text())
    project["storage"] = {"wandb": {"mode": "auto", "ensure_creds_script": str(script)}}
    (demo.directory / "project.yaml").write_text(yaml.safe_dump(project))
    words = ops_words("--config", str(demo.directory / "project.yaml"), "run", "submit", "--preset", "train")
    with subprocess.Popen([*words, "--pod", "alder", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as late:
        wait_for((tmp_path / "under-way").exists, "the submit")
        demo.close()
        (tmp_path / "go").touch()
        told, _ = late.communicate(timeout=60)
    assert (late.returncode, json.loads(told)["error"]["code"]) == (5, "refused")
    wait_for(lambda: not processes_with_env(str(demo.directory)), "every process of the demo to be gone")
    assert list((demo.directory / "runs/alder").iterdir()) == []
