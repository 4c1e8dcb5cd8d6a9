"""`ops` while it works: started and not waited for, in a pipe or on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

#: How long a test waits for anything `ops` should say or do, seconds.
PATIENCE_S = 60.0


def ops_words(*words: str) -> list[str]:
    return [sys.executable, "-m", "podops.cli.main", *words]


class PipedOps:
    """`ops` with its standard output in a pipe that the test reads when it likes; standard error in a file."""

    def __init__(self, words: list[str], cwd: Path, env: Mapping[str, str], errors: Path) -> None:
        self._errors = errors
        with errors.open("wb") as stderr:
            # Without a buffer, what has been read by line and what is left never overlap.
            self.process = subprocess.Popen(
                words, bufsize=0, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
            )

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def stderr(self) -> str:
        return self._errors.read_text(errors="replace")

    def read_line(self) -> bytes:
        """The next line it prints."""
        ready, _, _ = select.select([self.stdout], [], [], PATIENCE_S)
        assert ready, f"nothing printed: {self.stderr}"
        return self.stdout.readline()

    def read_until(self, text: bytes) -> bytes:
        """The first line from now on that has `text` in it."""
        while text not in (line := self.read_line()):
            assert line, f"it ended without {text!r}: {self.stderr}"
        return line

    def rest(self) -> bytes:
        """Everything else it prints until it ends."""
        return self.process.communicate(timeout=PATIENCE_S)[0]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.stdout.close()


class OpsOnTerminal:
    """`ops` on a pseudo terminal, which is its controlling one: ctrl-c is the key, not the signal."""

    def __init__(self, words: list[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        self.output = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *words], cwd=cwd, env=env, stdin=far, stdout=far, stderr=far
        )
        os.close(far)

    def press(self, keys: str) -> None:
        os.write(self._near, keys.encode())

    def detach(self) -> int:
        """ctrl-b d until it has ended; its exit status.

        tmux takes keys for pasted ones, and does nothing, where they come within a millisecond of what was before.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for key in ("\x02", "d"):
                self.press(key)
                pressed = time.monotonic()
                while time.monotonic() - pressed < 0.3:
                    if not self._read():
                        return self.process.wait(PATIENCE_S)
            assert time.monotonic() < deadline, f"still runs: {self.output[-2000:]!r}"

    def wait_for(self, pattern: str) -> None:
        """Read until what it has written matches `pattern`."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern.encode(), self.output):
            assert time.monotonic() < deadline, f"never saw {pattern!r} in {self.output[-2000:]!r}"
            assert self._read(), f"ended before {pattern!r}: {self.output[-2000:]!r}"

    def ended(self) -> int:
        """Its exit status; everything it wrote is in `output` then."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < deadline, f"still runs: {self.output[-2000:]!r}"
        return self.process.wait(PATIENCE_S)

    def _read(self) -> bool:
        """Take what is there, waiting a moment for it; whether more may come."""
        if not select.select([self._near], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self._near, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.output += data
        return bool(data)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._near)
