"""What a run finds in its environment: what is declared for it, the pod's own basics, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.loopback import POD_PATH, wait_for

#: Bash gives these to whatever it starts.
OF_BASH = {"PWD", "OLDPWD", "SHLVL", "_"}

#: Where a run could take them from: the shell `ops` was started in, and the login on the pod.
STRAYS = {
    "CUDA_VISIBLE_DEVICES": "7",
    "LC_CANARY": "stray",
    "OPS_PORT": "1",
    "OPS_RESUME_FROM": "stray",
    "PYTHONPATH": "/stray",
    "VIRTUAL_ENV": "/stray",
    "WANDB_API_KEY": "stray",
}


@pytest.mark.parametrize("transport", ["local", "ssh"])
def test_a_run_finds_exactly_what_is_declared(
    transport: str, ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, client_home: Path, world: Path
) -> None:
    pod = ssh_pod("here", env=STRAYS, options=("AcceptEnv LANG LC_*",)) if transport == "ssh" else None
    if pod:
        with pod.ssh_config.open("a") as stream:
            stream.write("  SendEnv LANG LC_*\n")
    home = pod.home if pod else client_home
    (home / "common.env").write_text("# for all\nSHARED=of the project\nexport TOKEN='a b'\n\nBOTH=storage\n")
    (home / "preset.env").write_text('BOTH="preset"\nWINS=file\n')
    project(
        pod or "here",
        presets={
            "show": {
                "kind": "command",
                "command": "env -0 > $OPS_RUN_DIR/seen",
                "env": {"DECLARED": "yes", "WINS": "preset"},
                "env_files": ["~/preset.env"],
            }
        },
        storage={
            "hf_home": "/mnt/hf",
            "datasets_root": "/mnt/data",
            "env_files": ["~/common.env"],
            "wandb": {"project": "w"},
        },
    )
    submitted = ops("run", "submit", "--preset", "show", "--pod", "here", "--run-id", "r", env=STRAYS)
    assert submitted.returncode == 0, submitted
    run = home / "runs/r"
    wait_for((run / "summary.json").exists, "the run to end")
    lines = (run / "seen").read_text().split("\0")[:-1]
    seen = dict(line.split("=", 1) for line in lines)
    spec = json.loads((run / "run_spec.json").read_text())
    basics = {"PATH": POD_PATH, "HOME": str(home)}
    if transport == "ssh":
        # This login has no locale; Python makes do with the one that knows every character, as it would for the run.
        basics |= {name: spec["base_env"][name] for name in ("USER", "LOGNAME", "SHELL")} | {"LC_CTYPE": "C.UTF-8"}
    else:
        basics |= {"LANG": "C.UTF-8"}
    assert {name: value for name, value in seen.items() if name not in OF_BASH} == {
        **basics,
        "SHARED": "of the project",
        "TOKEN": "a b",
        "BOTH": "preset",
        "WINS": "preset",
        "DECLARED": "yes",
        "HF_HOME": "/mnt/hf",
        "OPS_DATASETS_ROOT": "/mnt/data",
        "WANDB_PROJECT": "w",
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(run),
        "OPS_RUN_ID": "r",
        "OPS_RUN_DIR": str(run),
        "OPS_METRICS_FILE": str(run / "metrics.jsonl"),
        "OPS_ATTEMPT": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.mark.parametrize("fault", ["missing", "not NAME=value"])
def test_an_environment_file_that_cannot_be_used_fails_the_run_and_says_which(
    fault: str, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    if fault != "missing":
        (client_home / "x.env").write_text("GOOD=1\nsecret without a name\n")
    project("here", storage={"env_files": ["~/x.env"]})
    assert ops("run", "submit", "--preset", "hello", "--pod", "here", "--run-id", "r").returncode == 0
    summary = client_home / "runs/r/summary.json"
    wait_for(summary.exists, "the run to end")
    told = json.loads(summary.read_text())
    assert (told["state"], told["reason"]) == ("failed", "setup_failed")
    assert "~/x.env" in told["detail"] and "secret" not in summary.read_text()
    found = ops("doctor", "--json").json["checks"]
    assert [check["level"] for check in found if check["what"] == "env_files"] == ["fail"]
