"""Container engines for tests: Docker's and podman's own, each started for the tests alone, and the stand-in."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.pods.container_image import write_image
from tests.pods.docker_api import StandInContainer, StandInEngine
from tests.pods.loopback import POD_PATH, command_line, end_processes, is_link, link_processes, wait_for

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
        end_processes(self._folder)


class RealEngine:
    """`docker` or `podman` on a socket, with storage and containers of its own, without network."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        # Not in a test's own folder: podman takes no runroot of more than 50 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="podops-engine-", dir="/tmp"))
        self.host = f"unix://{self._folder}/engine.sock"
        self._cgroup = self._folder.name
        self._containers: list[str] = []
        self._log = self._folder / "engine.log"
        words = _DOCKER if kind == "docker" else _PODMAN
        command = [word.format(folder=self._folder, host=self.host, cgroup=self._cgroup) for word in words]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def prepare(self) -> None:
        """Wait for it, and give it the image of every container."""
        self.client = self._connect()
        image = self._folder / "image.tar"
        write_image(image)
        self.client.import_image_from_file(str(image), repository="podops-test", tag="1")
        self.image = self.client.images()[0]["Id"]

    def _connect(self) -> Any:
        import docker

        made: list[Any] = []

        def answers() -> bool:
            assert self._process.poll() is None, "it ended"
            with contextlib.suppress(docker.errors.DockerException):
                made.append(docker.APIClient(self.host, version="auto", timeout=60))
            return bool(made)

        wait_for(answers, "the engine")
        return made[0]

    def said(self) -> str:
        """The last thing the engine said."""
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def run(self, name: str, *, without: Sequence[str] = ()) -> None:
        # podman would ask for more open files than a sandbox may have.
        limits = [{"Name": "nofile", "Soft": 1024, "Hard": 1024}, {"Name": "nproc", "Soft": 4096, "Hard": 4096}]
        parent = f"/{self._cgroup}"
        config = self.client.create_host_config(network_mode="none", ulimits=limits, cgroup_parent=parent)
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
        for place in _mounts_under(self._folder):
            subprocess.run(["umount", "--lazy", place], check=True)
        wait_for(lambda: _cgroups_are_gone(self._cgroup), "the last process of a container to leave its cgroup")
        shutil.rmtree(self._folder)


_DOCKER = [
    *("dockerd", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
    *("--storage-driver", "vfs", "--data-root", "{folder}/data", "--exec-root", "{folder}/exec"),
    *("--pidfile", "{folder}/pid", "--host", "{host}", "--containerd-namespace", "podops-test"),
    *("--cgroup-parent", "/{cgroup}", "--exec-opt", "native.cgroupdriver=cgroupfs"),
]
_PODMAN = [
    *("podman", "--root", "{folder}/data", "--runroot", "{folder}/run", "--storage-driver", "vfs"),
    *("--cgroup-manager", "cgroupfs", "--runtime", "runc", "system", "service", "--time", "0", "{host}"),
]


def start_engine(kind: str, folder: Path) -> ContainerEngine:
    """The engine of that kind, working; `folder` is for the stand-in.

    Skips the test where no real engine is wanted, or none can run; one that does not run where it could fails it.
    """
    if kind == "stand-in":
        return StandIn(folder)
    programs = {"docker": ("dockerd", "runc"), "podman": ("podman", "runc")}[kind]
    if os.environ.get(SWITCH) != "1":
        pytest.skip(f"{kind}: engines are started by `make test-all` only ({SWITCH}=1)")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"{kind}: {' and '.join(missing) or 'root'} is needed and not there")
    if refused := _refused_isolation():
        pytest.skip(f"{kind}: this root may not make what a container is made of: {refused}")
    engine = RealEngine(kind)
    try:
        engine.prepare()
        engine.run("probe")
    except Exception as error:
        told = f"{kind} runs no container: {error} ({engine.said()})"
        engine.end()
        pytest.fail(told)
    return engine


def _refused_isolation() -> str:
    """Why this machine lets nobody have namespaces and mounts; empty where it does."""
    words = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "podops-test", "/mnt"]
    return subprocess.run(words, capture_output=True, text=True).stderr.strip()


def _mounts_under(folder: Path) -> list[str]:
    """What is mounted below `folder`, the innermost first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((place for place in places if place.startswith(f"{folder}/")), key=len, reverse=True)


def _cgroups_are_gone(name: str) -> bool:
    """Remove the groups of that name with those below; whether none is left. What is being killed stays a moment."""
    with contextlib.suppress(OSError):
        for top in Path("/sys/fs/cgroup").glob(f"**/{name}"):
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()
        return True
    return False


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _namespace(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    return ""
