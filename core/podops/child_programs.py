"""Programs with a process group of their own, which end with this process also where a signal ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Before a command has begun to log in, nothing is loaded that is not needed.
    from types import FrameType
    from typing import Self

#: How often it is looked whether one has ended, seconds.
_LOOK_S = 0.01

#: How long each may take to end, seconds, by its process.
_patience: dict[int, float] = {}

#: Those whose processes are not known yet, and the signals that came meanwhile.
_starting: set[EndsWithUs] = set()
_waiting: set[int] = set()


class EndsWithUs:
    """A program that is not left behind: from before it is started, within `with`, until it has ended."""

    def __init__(self, patience_s: float) -> None:
        """It has so long to end by itself when it is told to."""
        self._patience_s = patience_s
        self._pid: int | None = None

    def __enter__(self) -> Self:
        _starting.add(self)
        return self

    def started(self, pid: int) -> None:
        self._pid = pid
        _patience[pid] = self._patience_s
        self._known()

    def __exit__(self, *exc: object) -> None:
        if self._pid is not None:
            _patience.pop(self._pid, None)
        self._known()

    def _known(self) -> None:
        _starting.discard(self)
        while _waiting and not _starting:
            os.kill(os.getpid(), _waiting.pop())


def watch_for_our_end() -> None:
    """Let signals that end this process end those programs first. From the main thread."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    if _starting:
        _waiting.add(number)
        return
    programs, began = list(_patience.items()), time.monotonic()
    for pid, _patience_s in programs:
        _signal(pid, signal.SIGTERM)
    for pid, patience_s in programs:
        while runs := _runs(pid):
            if time.monotonic() - began > patience_s:
                break
            time.sleep(_LOOK_S)
        if runs:
            _signal(pid, signal.SIGKILL)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)


def _runs(pid: int) -> bool:
    """Whether it has not ended; it is left to whoever waits for it."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False
