"""Container engines for tests: Docker's and podman's own, each started for the tests alone, and the stand-in."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.pods.container_image import write_image
from tests.pods.docker_api import StandInContainer, StandInEngine
from tests.pods.loopback import POD_PATH, command_line, is_link, link_processes, processes_with_env

#: `make test-all` sets it; without it no engine is started on anybody's machine.
SWITCH = "PODOPS_TEST_ENGINES"


class ContainerEngine(Protocol):
    """`host` is what `docker_host` takes."""

    host: str

    def run(self, name: str, *, without: Sequence[str] = ()) -> None:
        """Start a container; `without` these programs."""

    def change(self, name: str, action: str) -> None:
        """`stop`, `start`, `pause` or `unpause` a container."""

    def links(self, name: str) -> list[int]:
        """The link processes in it."""

    def end(self) -> None:
        """End the engine with all its containers."""


class StandIn:
    """The stand-in as a `ContainerEngine`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = StandInEngine(folder / "engine.sock")
        self.host = f"unix://{self.server.path}"

    def run(self, name: str, *, without: Sequence[str] = ()) -> None:
        root = self._folder / name
        (root / "home").mkdir(parents=True)
        path = POD_PATH
        if without:
            path = str(root / "bin")
            Path(path).mkdir()
            for program in ("sh", "cat", "env", "seq", "sleep", "python3", "tmux"):
                if program not in without:
                    Path(path, program).symlink_to(shutil.which(program, path=POD_PATH) or f"/bin/{program}")
        env = {"HOME": str(root / "home"), "PATH": path, "PODOPS_STATE_DIR": str(root / "state")}
        if "sh" in without:
            env["STAND_IN_SH"] = "/nowhere/sh"
        self.server.containers[name] = StandInContainer(name, env)

    def change(self, name: str, action: str) -> None:
        states = {"stop": "exited", "pause": "paused", "start": "running", "unpause": "running"}
        self.server.containers[name].state = states[action]

    def links(self, name: str) -> list[int]:
        return link_processes(self._folder / name / "home")

    def end(self) -> None:
        self.server.close()
        for pid in processes_with_env(str(self._folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class RealEngine:
    """`docker` or `podman` on a socket, with storage and containers of its own, without network."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self._folder = folder
        socket = folder / "engine.sock"
        self.host = f"unix://{socket}"
        self._containers: list[str] = []
        self._log = folder / "engine.log"
        words = _DOCKER if kind == "docker" else _PODMAN
        command = [word.format(folder=folder, host=self.host) for word in words]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.client = self._connect()
        write_image(folder / "image.tar")
        self.client.import_image_from_file(str(folder / "image.tar"), repository="podops-test", tag="1")
        self.image = self.client.images()[0]["Id"]

    def _connect(self) -> Any:
        import docker

        from tests.pods.loopback import wait_for

        made: list[Any] = []

        def answers() -> bool:
            assert self._process.poll() is None, "it ended"
            with contextlib.suppress(docker.errors.DockerException):
                made.append(docker.APIClient(self.host, version="auto", timeout=60))
            return bool(made)

        wait_for(answers, "the engine", 30)
        return made[0]

    def failure(self) -> str:
        """The last thing the engine said."""
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def run(self, name: str, *, without: Sequence[str] = ()) -> None:
        # podman would ask for more open files than a sandbox may have.
        limits = [{"Name": "nofile", "Soft": 1024, "Hard": 1024}, {"Name": "nproc", "Soft": 4096, "Hard": 4096}]
        config = self.client.create_host_config(network_mode="none", ulimits=limits)
        made = self.client.create_container(self.image, ["sleep", "infinity"], name=name, host_config=config)
        self._containers.append(made["Id"])
        self.client.start(made["Id"])
        places = ["/usr/bin/" + program for program in without]
        if places:
            removed = self.client.exec_create(made["Id"], ["rm", *places])
            self.client.exec_start(removed["Id"])

    def change(self, name: str, action: str) -> None:
        getattr(self.client, action)(name, **({"timeout": 0} if action == "stop" else {}))

    def links(self, name: str) -> list[int]:
        init = self.client.inspect_container(name)["State"]["Pid"]
        inside = str(Path(f"/proc/{init}/ns/pid").readlink())
        return [pid for pid in _pids() if _namespace(pid) == inside and is_link(command_line(pid))]

    def end(self) -> None:
        with contextlib.suppress(Exception):
            for container in self._containers:
                self.client.remove_container(container, force=True)
            self.client.close()
        self._process.terminate()
        self._process.wait(20)
        for pid in _pids():  # podman leaves a monitor for each command that has ended, for five minutes
            if str(self._folder) in command_line(pid):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)


_DOCKER = [
    *("dockerd", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
    *("--storage-driver", "vfs", "--data-root", "{folder}/data", "--exec-root", "{folder}/exec"),
    *("--pidfile", "{folder}/pid", "--host", "{host}", "--containerd-namespace", "podops-test"),
]
_PODMAN = [
    *("podman", "--root", "{folder}/data", "--runroot", "{folder}/run", "--storage-driver", "vfs"),
    *("--cgroup-manager", "cgroupfs", "--runtime", "runc", "system", "service", "--time", "0", "{host}"),
]


def start_engine(kind: str, folder: Path) -> ContainerEngine:
    """The engine of that kind, working; skips the test, with the engine's own words, where it cannot run."""
    if kind == "stand-in":
        return StandIn(folder)
    programs = {"docker": ("dockerd", "runc"), "podman": ("podman", "runc")}[kind]
    if os.environ.get(SWITCH) != "1":
        pytest.skip(f"{kind}: engines are started by `make test-all` only ({SWITCH}=1)")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"{kind}: {' and '.join(missing) or 'root'} is needed and not there")
    engine: RealEngine | None = None
    try:
        engine = RealEngine(folder, kind)
        engine.run("probe")
    except Exception as error:
        said = engine.failure() if engine else type(error).__name__
        if engine is not None:
            engine.end()
        pytest.skip(f"{kind} cannot run containers here: {error} ({said})")
    return engine


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _namespace(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    return ""
