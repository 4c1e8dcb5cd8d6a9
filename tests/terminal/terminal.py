"""A real terminal for tests: one tmux pane, driven by keys, whose screen can be awaited."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.pods.conftest import ops_environment
from tests.pods.loopback import kill_tmux_server


def last_tick(screen: str) -> int:
    """The number of the last `tick N of the run` on the screen, 0 where there is none."""
    return max(map(int, re.findall(r"tick (\d+) of the run", screen)), default=0)


class Terminal:
    """One tmux pane that runs one program."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._tmux = ["tmux", "-L", socket]

    def start(self, columns: int, rows: int, command: str) -> None:
        size = ["-x", str(columns), "-y", str(rows)]
        subprocess.run([*self._tmux, "-f", "/dev/null", "new-session", "-d", *size, command], check=True)

    def start_ops(
        self, columns: int, rows: int, config: Path, home: Path, *flags: str, env: Mapping[str, str] | None = None
    ) -> None:
        """Open the app on `config`. Inside tmux it is, so TMUX is set unless `env` says else."""
        given = [f"{name}={value}" for name, value in ops_environment(home, env).items()]
        words = ["env", *given, sys.executable, "-m", "podops.cli.main", "--config", str(config), "tui", *flags]
        self.start(columns, rows, shlex.join(words))

    def press(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def type(self, text: str) -> None:
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)

    def tmux(self, *arguments: str) -> str:
        """What a command of the terminal's own tmux prints."""
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True).stdout

    def screen(self) -> str:
        return subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout

    def wait_for(self, pattern: str, seconds: float = 60) -> str:
        """The screen once `pattern` matches it; fails with the last screen otherwise."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, shown := self.screen()):
            assert time.monotonic() < deadline, f"never saw {pattern!r} in:\n{shown}"
            time.sleep(0.1)
        return shown

    def wait_for_tick(self, number: int) -> int:
        """The last tick on the screen, once it is this one or a later one: of fast ones not each is seen."""
        deadline = time.monotonic() + 60
        while (last := last_tick(shown := self.screen())) < number:
            assert time.monotonic() < deadline, f"never saw tick {number} in:\n{shown}"
            time.sleep(0.1)
        return last

    def gone(self, seconds: float = 60) -> bool:
        """Whether the program has ended, and with it the session."""
        deadline = time.monotonic() + seconds
        while subprocess.run([*self._tmux, "has-session"], capture_output=True).returncode == 0:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def close(self) -> None:
        kill_tmux_server(self._socket)
