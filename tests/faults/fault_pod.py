"""This machine as a pod of its own: own state, own outputs root, own tmux servers; and what a fault does to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from podops_runners import agent_process, machine, process, states
from podops_runners.gpu import GpuSource
from podops_runners.kill import request_kill
from podops_runners.rundir import Layout, RunDir
from podops_runners.scan import Project, Scanner
from podops_runners.submit import submit_run
from tests.pods.loopback import end_leftovers, kill_tmux_server
from tests.pods.used_before import put_beside

T = TypeVar("T")

WITNESS = Path(__file__).with_name("witness.py")


def eventually(look: Callable[[], T], what: str = "it", seconds: float = 60) -> T:
    """The first truthy value of `look`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        assert time.monotonic() < deadline, f"{what} never came to be"
        time.sleep(0.02)
    return value


def read(path: str | Path) -> dict[str, Any]:
    """A record; empty when it is not there."""
    try:
        record = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}
    assert isinstance(record, dict)
    return record


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """A file of JSON lines; empty when it is not there."""
    try:
        return [json.loads(line) for line in Path(path).read_text().splitlines()]
    except FileNotFoundError:
        return []


@dataclass
class FaultPod:
    """Runs are submitted by `submit`, end when `finish` says so, and are looked at in `runs`."""

    root: Path
    simulate_gpus: int = 4
    runs: list[RunDir] = field(default_factory=list)

    @property
    def outputs(self) -> Path:
        return self.root / "volume" / "runs"

    @property
    def volume(self) -> Path:
        return self.root / "volume"

    @property
    def witness(self) -> Path:
        return self.root / "witness"

    @property
    def socket(self) -> str:
        return f"podops-test-{zlib.crc32(str(self.root).encode()):08x}"

    @property
    def pyz(self) -> Path:
        return self.root / "podops.pyz"

    @property
    def project(self) -> Project:
        return Project("t", str(self.outputs), Layout())

    def create(self) -> None:
        for folder in (self.volume, self.witness, self.root / "home"):
            folder.mkdir(parents=True, exist_ok=True)
        self.outputs.mkdir(exist_ok=True)
        put_beside(self.pyz)

    def end(self) -> None:
        """Kill whatever was started with this pod in its environment."""
        end_leftovers(self.root)
        for name in (self.socket, agent_process.socket()):
            kill_tmux_server(name)

    def spec(self, options: str = "", *, line: str = "", **changes: Any) -> dict[str, Any]:
        """The spec of a run that runs the witness with `options`, or `line`."""
        run_id = changes.get("run_id", f"r{len(self.runs)}")
        command = line or f"exec {sys.executable} -I -S {WITNESS} {self.witness} {options}"
        return {
            "run_id": run_id,
            "project": "t",
            "preset": "p",
            "kind": "command",
            "pod": "here",
            "outputs_dir": str(self.outputs),
            "command_parts": [command],
            "policies": {"timeout_s": None, "stall_timeout_s": None, "grace_s": 0.5},
            "tmux": {"enabled": True, "session_prefix": "run", "socket": self.socket},
            "watch_interval_s": 0.3,
            "artifacts_required": ["command.sh", "run_metadata.json", "stdout.log", "summary.json"],
            **changes,
        }

    def submit(self, options: str = "", **changes: Any) -> RunDir:
        spec = self.spec(options, **changes)
        answer = submit_run(spec, force=False, gpus=self.samples, simulated=self.simulate_gpus)
        run = RunDir(answer["run_dir"])
        self.runs.append(run)
        return run

    def started(self, options: str = "", **changes: Any) -> RunDir:
        """Submit a witness and return when it has printed."""
        run = self.submit(options, **changes)
        eventually(lambda: self.told(run) and self.claim(run).get("child"), "the start of " + run.run_id)
        return run

    def samples(self) -> list[dict[str, Any]]:
        gpus: list[dict[str, Any]] = GpuSource(self.simulate_gpus).report()["gpus"]
        return gpus

    def finish(self, run: RunDir, code: int = 0) -> None:
        """Tell the witness of this run to end with `code`, now or when it starts."""
        place = self.witness / f"{run.run_id}.go"
        place.with_suffix(".new").write_text(str(code))
        place.with_suffix(".new").rename(place)

    def kill(self, run: RunDir) -> None:
        request_kill(run, 0.3, "a test")

    def told(self, run: RunDir) -> list[Path]:
        """What the starts of this run have told, a file each, once each has printed a line."""
        return [path for path in self.witness.glob(f"{run.run_id}.*.told") if path.read_text().count("\n") > 1]

    def claim(self, run: RunDir) -> dict[str, Any]:
        return read(run.claim)

    def events(self, run: RunDir) -> list[str]:
        return [line["event"] for line in read_lines(run.events)]

    def state(self, run: RunDir) -> str:
        """As a link would show it."""
        return str(self._shown(run)["state"])

    def problems(self, run: RunDir) -> list[str]:
        """Likewise, what is said to be wrong with it."""
        return list(self._shown(run)["problems"])

    def _shown(self, run: RunDir) -> dict[str, Any]:
        forget_identity()
        return Scanner([self.project]).one(self.project, run.run_id)

    def heartbeat(self, run: RunDir) -> str:
        try:
            return Path(run.heartbeat).read_text()
        except OSError:
            return ""

    def summary(self, run: RunDir) -> dict[str, Any]:
        return eventually(lambda: read(run.summary), f"the summary of {run.run_id}")

    def supervisor(self, run: RunDir) -> int:
        return int(self.claim(run)["supervisor"]["pid"])

    def shim(self, run: RunDir) -> int:
        return int(read(run.child)["shim"]["pid"])

    def child(self, run: RunDir) -> int:
        return int(self.claim(run)["child"]["pid"])

    def agent(self) -> int:
        record = eventually(lambda: agent_process.status() or {}, "the agent")
        return int(record["agent"]["pid"])

    def start_agent(self) -> None:
        """What every submit and every link does."""
        agent_process.ensure_running({"enabled": True})

    def processes(self) -> list[int]:
        """Everything this pod runs, its tmux servers and their panes too."""
        return list(_processes_of(self.root))

    def power_off(self) -> None:
        """Everything this pod runs dies at once, and what it held in memory is gone."""
        # Stopped first: none may see another die and write about it. And tmux before all: it lets its panes go on.
        stopped: set[int] = set()
        while new := set(_processes_of(self.root)) - stopped:
            servers = {pid for pid in new if process.command_name(pid).startswith("tmux")}
            for group in (servers, new - servers):
                process.signal_all(group, signal.SIGSTOP)
                eventually(lambda group=group: all(map(_stands_still, group)), "a stop")  # type: ignore[misc]
            stopped |= new
        while victims := set(_processes_of(self.root)):
            # Children first: the kernel lets a stopped group go on when a parent of it ends.
            for pid in sorted(victims, key=_age_order, reverse=True):
                kill(pid)
        for path in Path(machine.directory()).iterdir():
            path.unlink()

    def ended(self, run: RunDir) -> bool:
        return Path(run.summary).exists()

    def waits(self, run: RunDir) -> bool:
        return self.state(run) in (states.QUEUED, states.HELD)


@contextlib.contextmanager
def new_pod(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultPod]:
    """A pod in `root`; what this process submits goes there within the block."""
    pod = FaultPod(root)
    pod.create()
    monkeypatch.setenv("HOME", str(root / "home"))
    monkeypatch.setenv("PODOPS_STATE_DIR", str(root / "state"))
    for name in ("TMUX", "TMUX_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", [str(pod.pyz)])
    forget_identity()
    yield pod
    pod.end()
    forget_identity()


def forget_identity() -> None:
    """Boot and machine are asked for once per process; tests change them."""
    process.boot_id.cache_clear()
    process.machine_id.cache_clear()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; what has ended meanwhile is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def gone(pid: int) -> bool:
    return process.start_ticks(pid) is None


def await_end_of(pid: int) -> None:
    eventually(lambda: gone(pid), f"the end of process {pid}")


def kill_tmux(socket: str) -> None:
    """kill -9 for a tmux server."""
    shown = subprocess.run(["tmux", "-L", socket, "display-message", "-p", "#{pid}"], capture_output=True, text=True)
    kill(int(shown.stdout))
    await_end_of(int(shown.stdout))


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stands_still(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except OSError:
        return True


def _age_order(pid: int) -> tuple[int, int]:
    """The older before the younger; a parent is always older."""
    return process.start_ticks(pid) or 0, pid


def _processes_of(root: Path) -> Iterator[int]:
    needle = os.fsencode(root)
    for pid in all_pids():
        with contextlib.suppress(OSError):
            about = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
            if pid != os.getpid() and needle in about and process.start_ticks(pid) is not None:
                yield pid
