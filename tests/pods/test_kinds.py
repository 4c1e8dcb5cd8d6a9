"""What a preset becomes on its pod: every kind leaves the whole contract behind, and gets what the preset names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pods.conftest import MakeProject, Ops

#: Prints its words, and a metric as nanoGPT does.
TRAIN = "import sys\nprint(sys.argv[1:])\nprint('iter 3: loss 1.5, time 2ms')\n"

PRESETS: dict[str, dict[str, Any]] = {
    "command": {"command": "echo ['hello']"},
    "train": {"command": "{python} train.py {overrides}", "overrides": {"lr": 0.1}},
    "eval": {"command": "{python} train.py {overrides}", "overrides": {"num_examples": 2, "fast": True, "slow": False}},
    "nanogpt_train": {"config": "config/small.py", "overrides": {"note": "a b=c", "wandb_log": False}},
    "vllm_serve": {"model": "m/m", "args": {"max_model_len": 8}},
}
SAID = {
    "command": "[hello]",
    "train": "['lr=0.1']",
    "eval": "['--num_examples', '2', '--fast']",
    "nanogpt_train": "['config/small.py', 'out_dir=\"{run}/checkpoints\"', 'note=\"a b=c\"', 'wandb_log=False']",
    "vllm_serve": "['serve', 'm/m', '--port', '8000', '--max-model-len', '8']",
}


def git(repository: Path, *words: str) -> str:
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    return subprocess.run(
        ["git", "-C", repository, *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(client_home: Path) -> Path:
    """What runs start in: one commit, and a change since."""
    place = client_home / "repo"
    (place / "config").mkdir(parents=True)
    (place / "config/small.py").write_text("max_iters = 2\n")
    (place / "train.py").write_text("")
    git(place, "init", "-q", "-b", "sparse")
    git(place, "add", ".")
    git(place, "commit", "-q", "-m", "first")
    (place / "train.py").write_text(TRAIN)
    # Beside `python`, where it is looked for; here it only tells its words and ends.
    vllm = place / "bin/vllm"
    vllm.parent.mkdir()
    vllm.write_text(f'#!/bin/sh\nexec python3 {place}/train.py "$@"\n')
    vllm.chmod(0o755)
    (vllm.parent / "python").symlink_to(shutil.which("python3") or "/usr/bin/python3")
    return place


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("kind", PRESETS)
def test_every_kind_starts_what_the_preset_says_and_leaves_the_whole_contract_behind(
    kind: str, ops: Ops, project: MakeProject, repository: Path, client_home: Path
) -> None:
    keys = {"name": "demo", "remote_outputs_dir": "~/runs", "remote_repo_dir": str(repository)}
    made = keys | {"venv_python": str(repository / "bin/python"), "remote_repo_url": "git@example.org:me/r.git"}
    project("here", project=made, presets={"p": {"kind": kind, **PRESETS[kind]}})
    assert ops("run", "submit", "--preset", "p", "--run-id", "r", "--ref", "v1").returncode == 0
    assert ops("run", "wait", "r").returncode == 0, ops("run", "tail", "r").stdout
    run = client_home / "runs/r"
    assert (run / "stdout.log").read_text().splitlines()[0] == SAID[kind].format(run=run)
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["ok"], summary["missing_artifacts"]) == (True, [])
    assert all((run / name).stat().st_size for name in ("command.sh", "run_spec.json", "config_effective.json"))
    told = json.loads((run / "run_metadata.json").read_text())
    assert (told["kind"], told["preset"], told["pod"]["name"]) == (kind, "p", "here")
    commit = git(repository, "rev-parse", "HEAD")
    git_told = {"url": "git@example.org:me/r.git", "ref": "v1", "commit": commit, "branch": "sparse", "dirty": True}
    assert told["git"] == git_told
    assert all(told["process"][name] for name in ("pid", "start_ticks", "boot_id"))


def test_the_command_of_a_run_works_by_hand_and_touches_none_of_its_records(
    ops: Ops, project: MakeProject, client_home: Path
) -> None:
    line = "echo $OPS_RUN_ID $OPS_RUN_DIR attempt $OPS_ATTEMPT; echo '{{}}' >> $OPS_METRICS_FILE; echo port "
    fixed = {"kind": "command", "command": line + "{port}", "service": {"port": 8123}}
    chosen = {"kind": "command", "command": line + "{port}", "service": {"port": "auto"}}
    project("here", presets={"fixed": fixed, "chosen": chosen})
    said = {}
    for name in ("fixed", "chosen"):
        assert ops("run", "submit", "--preset", name, "--run-id", name, "--hold").returncode == 0
        run = client_home / "runs" / name
        for port in ("", "9001"):
            env = {"PATH": os.environ["PATH"], "OPS_RUN_ID": "another", "OPS_PORT": port}
            done = subprocess.run(["bash", "command.sh"], cwd=run, env=env, capture_output=True, text=True)
            said[name, port] = done.stdout.splitlines()[-2:] or done.stderr
        assert not (run / "metrics.jsonl").exists()
        ops("queue", "cancel", name, "--yes")
    told = {name: f"{name} {client_home / 'runs' / name} attempt 1" for name in ("fixed", "chosen")}
    assert said.pop(("fixed", "")) == [told["fixed"], "port 8123"]
    assert "OPS_PORT: is the port it shall have" in said.pop(("chosen", ""))
    assert said == {
        ("fixed", "9001"): [told["fixed"], "port 8123"],
        ("chosen", "9001"): [told["chosen"], "port 9001"],
    }


def test_a_checkpoint_reaches_a_retry_and_a_rerun_as_the_preset_says(
    ops: Ops, project: MakeProject, client_home: Path
) -> None:
    line = 'echo "from "{resume_from} "and $OPS_RESUME_FROM"; mkdir -p {run_dir}/checkpoints; '
    line += "echo weights > {run_dir}/checkpoints/$(date +%s%N).pt; exit 3"
    resuming = {"kind": "train", "command": line, "resume": True, "retries": {"max": 1, "backoff": "100ms"}}
    project("here", presets={"p": resuming})
    said = []
    for force in ([], ["--force"]):
        assert ops("run", "submit", "--preset", "p", "--run-id", "r", *force).returncode == 0
        assert ops("run", "wait", "r").returncode == 1
        said += ops("run", "tail", "r").stdout.splitlines()
    saved = sorted((client_home / "runs/r/checkpoints").iterdir())
    assert len(saved) == 4, "a rerun leaves the checkpoints in their place"
    assert said == ["from  and ", *(f"from {path} and {path}" for path in saved[:3])]
