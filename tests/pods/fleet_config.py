"""Project configurations for tests that use the engine in this process, and waiting for a fleet."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podops.config.model import PodConfig, ProjectConfig, TmuxConfig
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot
from podops.plan import SubmitPlan
from tests.pods.loopback import SshPod

PROJECT = "demo"


def pod_config(pod: SshPod | str) -> PodConfig:
    """A loopback pod, or a local one by name; runs lie in `~/runs` of each."""
    if isinstance(pod, str):
        return PodConfig(pod, local=True, outputs_dir="~/runs")
    return PodConfig(pod.name, ssh=pod.alias, ssh_config=str(pod.ssh_config), outputs_dir="~/runs")


def fleet_config(*pods: SshPod | str | PodConfig, tmux_socket: str = "podops-test") -> ProjectConfig:
    configs = [pod if isinstance(pod, PodConfig) else pod_config(pod) for pod in pods]
    tmux = TmuxConfig(socket=tmux_socket, watch_interval_s=1.0)
    return ProjectConfig(PROJECT, "~/runs", tmux=tmux, pods={config.name: config for config in configs})


async def shows(fleet: Fleet, pod: str, condition: Callable[[PodSnapshot], bool], what: str) -> PodSnapshot:
    """Wait until `condition` holds for `pod`; fail, naming `what`, after a minute."""
    shown = await fleet.until(lambda: condition(fleet.snapshot.pods[pod]), 60)
    assert shown, f"waited for {what}: {fleet.snapshot.pods[pod]}"
    return fleet.snapshot.pods[pod]


def submit_plan(config: ProjectConfig, pod: str, run_id: str, command: str) -> SubmitPlan:
    """What `ops run submit` would send for a preset of kind `command`."""
    tmux = {"enabled": True, "session_prefix": "run", "socket": config.tmux.socket}
    spec: dict[str, Any] = {
        "run_id": run_id,
        "project": config.name,
        "preset": "p",
        "kind": "command",
        "pod": pod,
        "outputs_dir": config.pods[pod].outputs_dir,
        "layout": {"heartbeat": "heartbeat.txt", "completion": "summary.json"},
        "command_parts": [command],
        "workdir": None,
        "env": {},
        "config": None,
        "overrides": {"given": {}, "parsed": {}},
        "derived": {},
        "gpus": None,
        "policies": {"timeout_s": None, "stall_timeout_s": None, "grace_s": 5.0},
        "service": None,
        "metrics_pattern": None,
        "wandb": {"mode": "auto", "project": None, "ensure_creds_script": None},
        "artifacts_required": ["command.sh", "run_metadata.json", "stdout.log", "summary.json"],
        "tmux": tmux,
        "watch_interval_s": config.tmux.watch_interval_s,
        "git": {"url": None, "ref": None},
        "tags": [],
        "user": "me",
        "client": "test",
        "created_at": now(),
    }
    run_dir = f"{config.pods[pod].outputs_dir}/{run_id}"
    return SubmitPlan(pod, run_id, "p", "command", run_dir, f"run-{run_id}", command, None, spec)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def hand_made_run(outputs: Path, run_id: str) -> Path:
    """A run just submitted, without a process; returns its log, still empty."""
    directory = outputs / run_id
    directory.mkdir(parents=True)
    metadata = {
        "schema": 1,
        "run_id": run_id,
        "project": PROJECT,
        "preset": "p",
        "kind": "command",
        "created_at": now(),
    }
    (directory / "run_metadata.json").write_text(json.dumps(metadata))
    (directory / "run_spec.json").write_text(json.dumps({**metadata, "created_at": now()}))
    log = directory / "stdout.log"
    log.touch()
    return log


def end_by_hand(log: Path) -> None:
    """Write the summary of a hand-made run: it has succeeded."""
    summary = {"schema": 1, "ok": True, "state": "succeeded", "reason": "ok", "exit_code": 0}
    temporary = log.parent / ".tmp-summary"
    temporary.write_text(json.dumps(summary))
    temporary.rename(log.parent / "summary.json")
