"""What the measurements run in: a pod behind a real sshd on loopback, this machine as a second pod, one project."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.pods.loopback import POD_PATH, SshPod, end_leftovers, free_port, kill_tmux_server

from podops.config.load import load_project
from podops.config.model import ProjectConfig

#: The pod behind sshd, and this machine.
FAR, NEAR = "far", "near"


@dataclass(frozen=True)
class World:
    """`root` holds everything; `socket` is podops' tmux server, `other_socket` that of what it is compared with."""

    root: Path
    pod: SshPod
    config: ProjectConfig
    project_file: Path
    socket: str
    other_socket: str

    @property
    def home(self) -> Path:
        """HOME of this process, of `ops`, and of the near pod."""
        return self.root / "client-home"

    def ssh(self, *options: str) -> list[str]:
        """`ssh` to the far pod, up to where the command stands."""
        return ["ssh", "-F", str(self.pod.ssh_config), *options, self.pod.alias]

    def tmux_line(self, line: str, log: Path) -> list[str]:
        """What one types by hand: a detached session whose output is kept by tee."""
        kept = f"{{ {line}; }} 2>&1 | tee {shlex.quote(str(log))}"
        return ["tmux", "-L", self.other_socket, "new-session", "-d", "bash", "-c", kept]

    def run_dir(self, pod: str, run_id: str) -> Path:
        return (self.pod.home if pod == FAR else self.home) / "runs" / run_id


@contextmanager
def world(presets: Mapping[str, Any]) -> Iterator[World]:
    """Start it, and leave nothing of it behind."""
    root = Path(tempfile.mkdtemp(prefix="podops-bench-"))
    state = root / "near-state"
    names = [f"podops-bench-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    pod = SshPod(name=FAR, root=root / "pod", port=free_port())
    _clean_environment(root / "client-home", state)
    try:
        pod.create()
        pod.start()
        file = _project_file(root, pod, names[0], presets)
        yield World(root, pod, load_project(path=file), file, names[0], names[1])
    finally:
        for name in names:
            kill_tmux_server(name)
        pod.stop()
        end_leftovers(root)
        shutil.rmtree(root, ignore_errors=True)


def _clean_environment(home: Path, state: Path) -> None:
    home.mkdir()
    keep: Sequence[str] = ("LANG", "LC_ALL")
    kept = {name: os.environ[name] for name in keep if name in os.environ}
    os.environ.clear()
    path = f"{Path(sys.executable).parent}:{POD_PATH}"
    os.environ.update(kept, HOME=str(home), PATH=path, TERM="xterm-256color", PODOPS_STATE_DIR=str(state))


def _project_file(root: Path, pod: SshPod, socket: str, presets: Mapping[str, Any]) -> Path:
    content = {
        "project": {"name": "bench", "remote_outputs_dir": "~/runs"},
        "tmux": {"socket": socket},
        "pods": {FAR: {"ssh": pod.alias, "ssh_config": str(pod.ssh_config)}, NEAR: {"local": True}},
        "presets": dict(presets),
    }
    file = root / "project.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file
