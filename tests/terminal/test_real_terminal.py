"""The app in a real terminal, with keys alone: tmux is the terminal, a local pod does the work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

PROJECT = """
project: {{name: t, remote_outputs_dir: {root}/runs}}
tmux: {{socket: {socket}, watch_interval_sec: 1}}
pods: {{here: {{local: true}}}}
presets:
  ticks: {{kind: command, command: 'i=0; while :; do i=$((i+1)); echo "tick $i of the run"; sleep 0.1; done'}}
"""


class Terminal:
    """One tmux pane that runs `ops`; what it shows can be awaited."""

    def __init__(self, socket: str) -> None:
        self._tmux = ["tmux", "-L", socket]

    def start(self, columns: int, rows: int, command: str) -> None:
        size = ["-x", str(columns), "-y", str(rows)]
        subprocess.run([*self._tmux, "-f", "/dev/null", "new-session", "-d", *size, command], check=True)

    def press(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def screen(self) -> str:
        return subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout

    def wait_for(self, pattern: str, seconds: float = 40) -> str:
        """The screen once `pattern` matches it; fails with the last screen otherwise."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, shown := self.screen()):
            assert time.monotonic() < deadline, f"never saw {pattern!r} in:\n{shown}"
            time.sleep(0.1)
        return shown

    def gone(self, seconds: float = 20) -> bool:
        """Whether the program has ended, and with it the session."""
        deadline = time.monotonic() + seconds
        while subprocess.run([*self._tmux, "has-session"], capture_output=True).returncode == 0:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal(f"podops-test-{uuid4().hex[:8]}")
    yield found
    found.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    socket = f"podops-test-{uuid4().hex[:8]}"
    path = tmp_path / "project.yaml"
    path.write_text(PROJECT.format(root=tmp_path, socket=socket))
    yield path
    subprocess.run(["tmux", "-L", socket, "kill-server"], capture_output=True)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 60)])
def test_a_run_is_submitted_watched_and_killed_with_keys_alone(
    terminal: Terminal, project: Path, columns: int, rows: int
) -> None:
    os.environ.setdefault("LANG", "C.UTF-8")
    terminal.start(columns, rows, f"{sys.executable} -m podops.cli.main --config {project} tui")
    terminal.wait_for(r"here +● live")
    terminal.press("s")
    terminal.wait_for(r"Submit a run")
    terminal.wait_for(r"tick \$i of the run")
    terminal.press("C-s")
    shown = terminal.wait_for(r"● running")
    assert "ticks" in shown
    first = int(re.findall(r"tick (\d+) of the run", terminal.wait_for(r"tick \d+ of the run"))[-1])
    terminal.wait_for(rf"tick {first + 8} of the run")
    terminal.press("x")
    terminal.wait_for(r"End this run")
    terminal.press("y")
    terminal.wait_for(r"⊘ cancelled")
    summaries = list(project.parent.glob("runs/*/summary.json"))
    assert len(summaries) == 1
    assert '"reason": "user_kill"' in summaries[0].read_text()
    terminal.press("q")
    assert terminal.gone()
