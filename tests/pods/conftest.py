"""Pods for tests: real sshd servers on loopback, local pods, a project file for them, `ops` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from podops.config.model import PodConfig
from podops.link.pod_archive import pod_archive
from tests.pods.gpu_pod import GpuPod, StartGpuPod
from tests.pods.loopback import POD_PATH, POD_PYTHON, SshPod, end_leftovers, free_port, kill_tmux_server
from tests.pods.ops_process import OpsOnTerminal, PipedOps, ops_words
from tests.pods.pod_side import PodSide
from tests.pods.stand_in_gpus import StandInNvml
from tests.pods.used_before import put_on_client, put_on_pod


class MakeSshPod(Protocol):
    def __call__(self, name: str = "pod", **options: Any) -> SshPod: ...


@dataclass(frozen=True)
class Project:
    """A project file on disk. Local pods keep their runs in `local_outputs_dir`."""

    directory: Path
    file: Path
    tmux_socket: str
    local_outputs_dir: Path


class MakeProject(Protocol):
    def __call__(
        self, *pods: SshPod | PodConfig | str, presets: Mapping[str, Any] | None = None, **keys: Any
    ) -> Project: ...


@dataclass(frozen=True)
class OpsResult:
    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]


class StartOps(Protocol):
    def __call__(self, *args: str, env: Mapping[str, str] | None = None) -> PipedOps: ...


class OpenOps(Protocol):
    def __call__(self, *args: str, env: Mapping[str, str] | None = None) -> OpsOnTerminal: ...


class Ops(Protocol):
    def __call__(
        self,
        *args: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        stdin: str | None = None,
    ) -> OpsResult: ...


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Path]:
    """The folder of one test; no process started with it in its environment survives the test."""
    yield tmp_path
    end_leftovers(tmp_path)


@pytest.fixture
def tmux_socket(world: Path) -> Iterator[str]:
    """The name of a tmux socket of this test alone; its server is ended after the test."""
    name = f"podops-test-{uuid.uuid4().hex[:10]}"
    yield name
    kill_tmux_server(name)


@pytest.fixture
def used_before() -> bool:
    """Whether this machine and the pods have the pod side already; what is about the first time says that they do not.

    Building, uploading and compiling it anew for every test would be a good part of the time they take.
    """
    return True


@pytest.fixture
def client_home(world: Path, monkeypatch: pytest.MonkeyPatch, used_before: bool) -> Path:
    """An empty HOME for this process and its children, local pods too; no SSH agent, no tmux around."""
    home = world / "client-home"
    home.mkdir()
    if used_before:
        put_on_client(home)
        put_on_pod(home, POD_PYTHON)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PODOPS_STATE_DIR", str(world / "client-state"))
    for name in ("SSH_AUTH_SOCK", "TMUX", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "REMOTE_OUTPUTS_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def ssh_pod(world: Path, client_home: Path, tmux_socket: str, used_before: bool) -> Iterator[MakeSshPod]:
    """Make a pod behind a real sshd: `ssh_pod("a")`; `path=`, `env=`, `options=` (sshd lines) as needed."""
    pods: list[SshPod] = []

    def make(name: str = "pod", **options: Any) -> SshPod:
        pod = SshPod(name=name, root=world / f"pod-{name}", port=free_port(), **options)
        pod.create()
        if used_before:
            put_on_pod(pod.home, POD_PYTHON)
        pods.append(pod)
        pod.start()
        return pod

    yield make
    for pod in pods:
        pod.stop()


@pytest.fixture
def project(world: Path, client_home: Path, tmux_socket: str) -> MakeProject:
    """Write a project file: `project(ssh_pod("a"), "laptop", presets={…})`; a name stands for a local pod.

    Other keyword arguments are top-level keys, laid over the generated ones. Runs lie in each pod's `~/runs`.
    """

    def make(*pods: SshPod | PodConfig | str, presets: Mapping[str, Any] | None = None, **keys: Any) -> Project:
        directory = world / "project"
        content = {
            "project": {"name": "demo", "remote_outputs_dir": "~/runs"},
            "tmux": {"socket": tmux_socket, "watch_interval_sec": 1},
            "pods": dict(_pod_entry(pod) for pod in pods),
            "presets": dict(presets or {"hello": {"kind": "command", "command": "echo hello"}}),
            **keys,
        }
        file = directory / "configs/ops/project.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return Project(directory, file, tmux_socket, client_home / "runs")

    return make


def _pod_entry(pod: SshPod | PodConfig | str) -> tuple[str, dict[str, Any]]:
    if isinstance(pod, PodConfig):
        return pod.name, {"docker": pod.docker, "docker_host": pod.docker_host}
    if isinstance(pod, str):
        return pod, {"local": True}
    return pod.name, {"ssh": pod.alias, "ssh_config": str(pod.ssh_config)}


def ops_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What `ops` is started with: nothing of this machine but a PATH and a locale."""
    base = {"HOME": str(home), "PATH": POD_PATH, "LANG": "C.UTF-8", "TERM": "xterm-256color"}
    base["PODOPS_STATE_DIR"] = str(home.parent / "client-state")
    return {**base, **(extra or {})}


@pytest.fixture
def ops_env(client_home: Path) -> Callable[..., dict[str, str]]:
    """The environment `ops` runs with, for tests that start it by themselves: `ops_env(NAME="value")`."""
    return lambda **extra: ops_environment(client_home, extra)


@pytest.fixture
def ops(world: Path, client_home: Path) -> Ops:
    """Run `ops` as a process: `ops("run", "list", "--json").json`; in the project's folder by default."""

    def run(
        *args: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        stdin: str | None = None,
    ) -> OpsResult:
        folder = cwd or (world / "project" if (world / "project").is_dir() else world)
        done = subprocess.run(
            ops_words(*args),
            cwd=folder,
            env=ops_environment(client_home, env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return OpsResult(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start_ops(world: Path, client_home: Path) -> Iterator[StartOps]:
    """Start `ops` in the project's folder with its output in a pipe: `start_ops("run", "tail", "-f", "r1")`."""
    started: list[PipedOps] = []

    def start(*args: str, env: Mapping[str, str] | None = None) -> PipedOps:
        errors = world / f"ops-{len(started)}.err"
        started.append(PipedOps(ops_words(*args), world / "project", ops_environment(client_home, env), errors))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.fixture
def open_ops(world: Path, client_home: Path) -> Iterator[OpenOps]:
    """Start `ops` in the project's folder on a terminal of its own."""
    started: list[OpsOnTerminal] = []

    def start(*args: str, env: Mapping[str, str] | None = None) -> OpsOnTerminal:
        started.append(OpsOnTerminal(ops_words(*args), world / "project", ops_environment(client_home, env)))
        return started[-1]

    yield start
    for terminal in started:
        terminal.end()


@pytest.fixture
def start_gpu_pod(tmp_path: Path) -> Iterator[StartGpuPod]:
    """Start a bare pod side and await its GPU reports: `start_gpu_pod(nvml.env)`; words before the environment's
    command (`unshare …`) and another `python=` as needed."""
    pyz = tmp_path / "podops.pyz"
    pyz.write_bytes(pod_archive()[0])
    sides: list[PodSide] = []

    def make(env: Mapping[str, str], *prefix: str, python: str = sys.executable) -> GpuPod:
        sides.append(PodSide(python, pyz, env=env, prefix=prefix))
        return GpuPod(sides[-1], tmp_path / "runs")

    yield make
    for side in sides:
        side.process.kill()
        side.process.communicate()
    end_leftovers(tmp_path)


@pytest.fixture
def nvml(tmp_path: Path) -> StandInNvml:
    """A stand-in for NVIDIA's library, installed where `nvml.env` finds it."""
    found = StandInNvml(tmp_path / "driver")
    found.install()
    return found
