"""How long a line written on the pod takes to stand on a terminal: the app beside `ssh … tail -F`, in turns.

The terminal is read by this process, which does nothing else meanwhile: a line counts when its text has come out. In
turns, because a person has one or the other: at once the two would wait for each other's processor.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.log_latency import LINES
from benchmarks.measure import Row, median_and_p99
from benchmarks.world import FAR, World
from podops.fleet.fleet import Fleet
from podops.plan import plan_submit

ROWS, COLUMNS = 60, 200
_TURNS = 3
_STAMP = re.compile(rb"(?<!\d)\d{19}(?!\d)")


async def measure(world: World) -> list[Row]:
    in_pane, ours, theirs = list[float](), list[float](), list[float]()
    noted = world.root / "in-pane"
    for turn in range(_TURNS):
        ours += await _ages(world, f"stamps-app-{turn}", _app(world, noted))
        in_pane += map(float, noted.read_text().split())
        run_id = f"stamps-tail-{turn}"
        theirs += await _ages(world, run_id, _tail(world, run_id))
    instead = "`ssh pod tail -F`, on the terminal"
    return [
        *median_and_p99("the app's log pane has a line", instead, in_pane, theirs, "ms"),
        *median_and_p99("a line is on the terminal", instead, ours, theirs, "ms"),
    ]


def _app(world: World, noted: Path) -> list[str]:
    """It shows the log of the newest run."""
    return [sys.executable, "-m", "benchmarks.noting_app", str(noted), "--config", str(world.project_file)]


def _tail(world: World, run_id: str) -> list[str]:
    log = shlex.quote(str(world.run_dir(FAR, run_id) / "stdout.log"))
    return [*world.ssh("-tt"), f"tail -n +1 -F {log}"]


async def _ages(world: World, run_id: str, command: Sequence[str]) -> list[float]:
    async with Fleet(world.config, pods=[FAR]) as fleet:
        await fleet.settled(20)
        await fleet.submit(plan_submit(world.config, "stamps", FAR, run_id=run_id))
    terminal = Terminal(command)
    try:
        await asyncio.sleep(4.0)
        (world.run_dir(FAR, run_id) / "go").touch()
        async with asyncio.timeout(60):
            while len(terminal.ages) < LINES:
                await terminal.more.wait()
                terminal.more.clear()
        return [*terminal.ages.values()]
    finally:
        terminal.end()


class Terminal:
    """A program on a terminal of `ROWS` and `COLUMNS`. `ages` is how old each line was when it came out, ms."""

    def __init__(self, command: Sequence[str]) -> None:
        self.more = asyncio.Event()
        # What is older was printed before, to another log.
        self._since = time.time_ns()
        self.ages: dict[bytes, float] = {}
        self._rest = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._program = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 1 << 20)
        except OSError:
            data = b""
        now = time.time_ns()
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
            return
        data = self._rest + data
        for stamp in _STAMP.findall(data):
            if int(stamp) > self._since:
                self.ages.setdefault(stamp, (now - int(stamp)) / 1e6)
        # A stamp may have come in two pieces.
        self._rest = data[-20:]
        self.more.set()

    def end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        self._program.send_signal(signal.SIGTERM)
        self._program.wait(20)
        os.close(self._master)
