"""A fleet of three local pods in one directory, with small real runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import yaml

from podops.config.load import load_project
from podops.config.model import ProjectConfig
from podops.errors import PodopsError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops.plan import plan_submit
from podops_runners import agent_process, machine, queue_gate, states

PODS = ("alder", "birch", "cedar")

#: What opens the demo: (preset, pod).
FIRST_RUNS = (("train", "alder"), ("train", "birch"), ("crash", "cedar"), ("serve", "cedar"))

#: Ending the demo's runs takes so long at most, and then removing its directory, seconds.
_END_S, _GONE_S = 25.0, 10.0


@dataclass(slots=True)
class Demo:
    """A prepared demo; `close` ends its runs, and removes its directory when that is temporary."""

    directory: Path
    config: ProjectConfig
    temporary: bool

    @property
    def state_dir(self) -> Path:
        """What this machine is to the demo's pods, apart from the user's own runs."""
        return self.directory / "state"

    def take_machine(self) -> None:
        """Be, for this process and what it starts, the machine of the demo's pods, open for runs. Raises `OSError`."""
        os.environ[machine.STATE_DIR_VARIABLE] = str(self.state_dir)
        queue_gate.reopen()

    async def first_runs(self, fleet: Fleet, overrides: tuple[str, ...] = ()) -> dict[str, list[str]]:
        """Submit the first set; run ids by preset. `overrides` go to the trainings."""
        await fleet.settled(20)
        ids: dict[str, list[str]] = {}
        for preset, pod in FIRST_RUNS:
            plan = plan_submit(self.config, preset, pod, overrides=overrides if preset == "train" else ())
            answer = await fleet.submit(plan)
            ids.setdefault(preset, []).append(str(answer["run_id"]))
        return ids

    def close(self) -> None:
        """End every run of this demo, its agent and its tmux servers; returns once its directory is gone or kept."""
        if os.environ.get(machine.STATE_DIR_VARIABLE) == str(self.state_dir):
            self._end_everything()
        if self.temporary:
            _remove(self.directory)

    def _end_everything(self) -> None:
        queue_gate.close()
        # Supervisors outlive their tmux server on purpose, so the runs are ended as a user would end them.
        with contextlib.suppress(PodopsError, TimeoutError):
            asyncio.run(self._end_runs())
        _end_tmux_server(self.config.tmux.socket)
        agent_process.end()
        _end_tmux_server(agent_process.socket())

    async def _end_runs(self) -> None:
        async with Fleet(self.config) as fleet, asyncio.timeout(_END_S):
            await fleet.settled(10)
            # The queue is closed: there are no others, and none comes.
            for run in _unended(fleet):
                await fleet.kill(run.pod, run.run_id, project=run.project, grace_s=1.0)
            await fleet.until(lambda: not _unended(fleet), _END_S)


def prepare_demo(directory: Path | None = None, simulate_gpus: int = 0) -> Demo:
    """Write the demo's scripts and `project.yaml` to `directory` (kept), or to a temporary one."""
    temporary = directory is None
    root = (Path(tempfile.mkdtemp(prefix="podops-demo-")) if directory is None else directory).resolve()
    root.mkdir(parents=True, exist_ok=True)
    with as_file(files("podops.demo") / "assets") as assets:
        shutil.copytree(assets, root / "repo", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    path = root / "project.yaml"
    if not path.exists():
        header = "# The project of `ops demo`; use it with `ops --config <this file>`.\n"
        path.write_text(header + yaml.safe_dump(_project(root), sort_keys=False), encoding="utf-8")
    config = load_project(path=path)
    for pod in config.pods.values():
        # A submit makes no outputs root outside the home directory.
        Path(pod.outputs_dir).mkdir(parents=True, exist_ok=True)
    pods = {name: replace(pod, simulated_gpus=simulate_gpus) for name, pod in config.pods.items()}
    return Demo(root, replace(config, pods=pods), temporary)


def _project(root: Path) -> dict[str, object]:
    port = _free_port()
    return {
        "project": {
            "name": "demo",
            "remote_outputs_dir": str(root / "runs"),
            "remote_repo_dir": str(root / "repo"),
            "venv_python": sys.executable,
        },
        "tmux": {
            "watch_interval_sec": 2,
            "socket": "podops-demo-" + hashlib.sha256(str(root).encode()).hexdigest()[:8],
        },
        # Of a demo nothing is to stay behind.
        "history": {"enabled": False},
        "pods": {name: {"local": True, "remote_outputs_dir": str(root / "runs" / name)} for name in PODS},
        "presets": {
            "train": {
                "kind": "nanogpt_train",
                "config": "config/train_declaration.py",
                "overrides": {"max_iters": 3000, "eval_interval": 500},
            },
            "eval": {"kind": "eval", "command": "{python} eval.py {overrides}", "overrides": {"num_examples": 300}},
            "serve": {
                "kind": "command",
                "command": f"{{python}} serve.py {port}",
                "service": {"port": port, "health": "/v1/models"},
            },
            "crash": {"kind": "train", "command": "{python} crash.py"},
        },
    }


def _end_tmux_server(socket_name: str) -> None:
    """End it with all in it, and remove its socket, which tmux leaves behind."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["tmux", "-L", socket_name, "kill-server"], check=False, capture_output=True, timeout=10)
    with contextlib.suppress(OSError):
        Path(os.environ.get("TMUX_TMPDIR") or "/tmp", f"tmux-{os.getuid()}", socket_name).unlink()


def _remove(directory: Path) -> None:
    """Remove it with all in it, also while the last processes of the demo, on their way out, still write there."""
    deadline = time.monotonic() + _GONE_S
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(0.05)


def _unended(fleet: Fleet) -> list[RunSnapshot]:
    """Those that work or wait; of a lost one nothing is there that could be ended."""
    return [run for run in fleet.snapshot.runs() if run.waiting or run.state in states.ACTIVE]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def wait_for(fleet: Fleet, run_id: str, *, phase: str | None = None, timeout: float = 300) -> None:  # noqa: ASYNC109
    """Return when the run has ended, or has reached `phase`. Raises `TimeoutError` after `timeout` seconds."""

    def there() -> bool:
        run = next((r for r in fleet.snapshot.runs() if r.run_id == run_id), None)
        return run is not None and (run.ended or (phase is not None and run.phase == phase))

    if not await fleet.until(there, timeout):
        raise TimeoutError(f"run {run_id} did not get there in {timeout:g} s")
