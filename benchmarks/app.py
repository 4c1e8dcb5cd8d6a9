"""What the app costs on a terminal of 200 columns and 60 rows while ten pods with a hundred runs each are busy."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lateness import share
from benchmarks.measure import Row
from benchmarks.world import World

SECONDS = 20.0
COLUMNS, ROWS = 200, 60


async def measure(world: World) -> list[Row]:
    found = world.root / "app.json"
    app = [sys.executable, "-m", "benchmarks.app_screen", str(SECONDS), str(found)]
    await asyncio.to_thread(_on_terminal, app, None)
    ours = json.loads(found.read_text())
    cpu, written = await asyncio.to_thread(_on_terminal, ["top", "-d", "1"], SECONDS)
    what, instead = "the app with 10 pods of 100 runs", "`top -d 1` on the same terminal"
    return [
        Row(f"{what}: CPU", instead, ours["cpu"], cpu, "% of a core"),
        Row(f"{what}: written to the terminal", instead, ours["bytes"] / 1024, written / 1024, "KiB/s"),
        Row(f"{what}: its event loop is late, median", "-", share(ours["late"], 0.5), 0.0, "ms"),
        Row(f"{what}: its event loop is late, p99", "-", share(ours["late"], 0.99), 0.0, "ms"),
        Row(f"{what}: the same by its own work alone, p99", "-", share(ours["late_by_own_work"], 0.99), 0.0, "ms"),
    ]


def _on_terminal(command: Sequence[str], seconds: float | None) -> tuple[float, float]:
    """Run a program on a terminal of its own, to its end or for so long; its CPU in % of a core, its bytes a second."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = dict(os.environ, TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execvpe(command[0], list(command), environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    begun, count = time.perf_counter(), 0
    try:
        while seconds is None or time.perf_counter() - begun < seconds:
            data = _read(terminal)
            if not data:
                break
            count += len(data)
        took = time.perf_counter() - begun
        return 100 * _cpu_seconds(pid) / took, count / took
    finally:
        _end(pid)
        os.close(terminal)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the program has left
        return b""


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)
