"""Project configurations for tests that use the engine in this process, and waiting for a fleet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from podops.config.model import PodConfig, ProjectConfig, TmuxConfig
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot
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
    """Wait until `condition` holds for `pod`; fail, naming `what`, after 20 seconds."""
    changed = asyncio.Event()
    stop = fleet.subscribe(lambda _names: changed.set())
    try:
        async with asyncio.timeout(20):
            while not condition(fleet.snapshot.pods[pod]):
                changed.clear()
                await changed.wait()
    except TimeoutError:
        raise AssertionError(f"waited for {what}: {fleet.snapshot.pods[pod]}") from None
    finally:
        stop()
    return fleet.snapshot.pods[pod]


def hand_made_run(outputs: Path, run_id: str) -> Path:
    """The least a run directory can be; returns its log, still empty."""
    directory = outputs / run_id
    directory.mkdir(parents=True)
    metadata = {"schema": 1, "run_id": run_id, "project": PROJECT, "preset": "p", "kind": "command"}
    (directory / "run_metadata.json").write_text(json.dumps(metadata))
    log = directory / "stdout.log"
    log.touch()
    return log


def end_by_hand(log: Path) -> None:
    """Write the summary of a hand-made run: it has succeeded."""
    summary = {"schema": 1, "ok": True, "state": "succeeded", "reason": "ok", "exit_code": 0}
    temporary = log.parent / ".tmp-summary"
    temporary.write_text(json.dumps(summary))
    temporary.rename(log.parent / "summary.json")
