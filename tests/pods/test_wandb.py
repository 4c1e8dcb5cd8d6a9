"""W&B switched on and off, and logged in to, as the real client sees it; it talks to a server on loopback only."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from podops_runners import creds
from podops_runners.netrc_file import WANDB_HOSTS
from tests.pods.conftest import MakeProject, Ops
from tests.pods.wandb_server import WandbServer, wandb_server

KEY = "0123456789abcdef0123456789abcdef01234567"

#: As nanoGPT's train.py and its configurator: globals, then config files and `key=<Python literal>` over them.
TRAIN = """
import os, sys
from ast import literal_eval
wandb_log, max_iters, out_dir = True, 3, "out"
for arg in sys.argv[1:]:
    if "=" not in arg:
        exec(open(arg).read())
        continue
    key, val = arg.split("=")
    try:
        attempt = literal_eval(val)
    except (SyntaxError, ValueError):
        attempt = val
    assert type(attempt) == type(globals()[key]), (key, attempt)
    globals()[key] = attempt
if wandb_log:
    import wandb
    wandb.init(project="p")
for step in range(max_iters):
    print(f"iter {step}: loss 1.0, time 1ms")
    if wandb_log:
        wandb.log({"loss": 1.0})
print("wandb was", "loaded" if "wandb" in sys.modules else "left alone")
print("the key is", "in" if "WANDB_API_KEY" in os.environ else "not in", "the environment")
"""


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with wandb_server() as serving:
        yield serving


@pytest.fixture
def repository(client_home: Path, project: MakeProject, server: WandbServer) -> Path:
    """A repository with a training script, and a project whose runs log to the server of this test."""
    place = client_home / "repo"
    (place / "config").mkdir(parents=True)
    (place / "train.py").write_text(TRAIN)
    (place / "config/small.py").write_text("max_iters = 2\n")
    script = client_home / "set-key.sh"
    nano = {"kind": "nanogpt_train", "config": "config/small.py", "overrides": {"wandb_log": "auto"}}
    made = {
        "name": "demo",
        "remote_outputs_dir": "~/runs",
        "remote_repo_dir": str(place),
        "venv_python": sys.executable,
    }
    project(
        "here",
        project=made,
        storage={"wandb": {"mode": "auto", "ensure_creds_script": str(script)}},
        presets={"nano": {**nano, "env": {"WANDB_BASE_URL": server.url, "WANDB_SILENT": "true"}}},
    )
    return place


def trained(ops: Ops, runs: Path, wandb_log: str) -> tuple[str, str]:
    """How the run with this override logged (`nothing`, `offline`, `online`), by the files it left, and its log."""
    ops("run", "submit", "--preset", "nano", "--run-id", wandb_log, f"wandb_log={wandb_log}")
    assert ops("run", "wait", wandb_log).returncode == 0, ops("run", "tail", wandb_log).stdout
    names = [path.name for path in (runs / wandb_log).glob("wandb/*run-*") if not path.name.startswith("latest")]
    kinds = {"offline" if name.startswith("offline-run-") else "online" for name in names}
    assert len(names) <= 1 and (runs / wandb_log / "wandb").exists() == bool(names)
    return (kinds or {"nothing"}).pop(), (runs / wandb_log / "stdout.log").read_text()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (True, {"false": "nothing", "true": "online", "auto": "online"}),
        (False, {"false": "nothing", "true": "offline", "auto": "nothing"}),
    ],
    ids=["with-credentials", "without"],
)
def test_wandb_log_is_what_the_override_says_and_auto_is_whether_there_are_credentials(
    repository: Path, client_home: Path, server: WandbServer, ops: Ops, key: bool, expected: dict[str, str]
) -> None:
    if key:
        (client_home / "set-key.sh").write_text(f"export WANDB_API_KEY={KEY}\n")
    before = sorted(repository.rglob("*"))
    for wandb_log, how in expected.items():
        logged, log = trained(ops, client_home / "runs", wandb_log)
        assert logged == how, (wandb_log, log)
        assert ("wandb was loaded" in log) == (how != "nothing")
        assert "the key is not in the environment" in log
    assert sorted(repository.rglob("*")) == before
    assert set(server.keys) == ({KEY} if key else set())
    assert any(b'\\"loss\\":1' in sent for sent in server.streamed) == key
    netrc = client_home / ".netrc"
    assert netrc.exists() == key
    if key:
        assert stat.S_IMODE(netrc.stat().st_mode) == 0o600


#: None named, so wandb's default; then what a run may name instead.
SERVERS = [
    "",
    "https://api.wandb.ai",
    "https://api.eu.wandb.ai",
    "https://forge.coreweave.com/api/wandb",
    "https://wandb.example.org:8443",
    "http://127.0.0.1:8080/",
]

#: For each server and file: the address that the installed wandb makes of it, and the key that it finds for it there.
ASK = """
import json, os, sys, wandb, wandb.sdk.lib.wbauth as auth
for url, os.environ["NETRC"] in json.load(sys.stdin):
    host = wandb.Settings(base_url=url).base_url if url else wandb.Settings().base_url
    print(host, auth.read_netrc_auth(host=host))
"""


def test_what_is_stored_is_what_the_installed_wandb_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODOPS_STATE_DIR", str(tmp_path / "state"))
    script = tmp_path / "set-key.sh"
    script.write_text(f"export WANDB_API_KEY={KEY}\n")
    spec = {"wandb": {"mode": "auto", "ensure_creds_script": str(script)}}
    for number, url in enumerate(SERVERS):
        home = tmp_path / str(number)
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
        assert creds.ensure_for(spec, {"WANDB_BASE_URL": url} if url else {}, environment).found
    asked = json.dumps([(url, str(tmp_path / str(number) / ".netrc")) for number, url in enumerate(SERVERS)])
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=True)
    told = [line.split() for line in done.stdout.splitlines()]
    assert [(url, found) for url, (_, found) in zip(SERVERS, told, strict=True)] == [(url, KEY) for url in SERVERS]
    assert told[0][0] == f"https://{WANDB_HOSTS[0]}", f"wandb {version('wandb')} has another default host"
