"""Ending a run whose log outgrows its limit, from a thread that does nothing else.

A run that fills the disk as fast as it can holds up every write of its supervisor, for a second and more. Nothing here
writes. The thread is started after the run's fork, and ended before the next one.
"""

import os
import select
import signal
import threading
import time

from podops_runners import process
from podops_runners.log_guard import LogGuard
from podops_runners.typed import Any

#: A run that goes on printing while it is being ended is ended without grace at this share of the limit.
_PATIENT_UNTIL = 1.1


class LogBreaker:
    """Sends the run SIGINT at its limit, and SIGKILL a tenth later; wakes the supervisor to do all else."""

    def __init__(self, path: str, limit: int, child: Any) -> None:
        """`child` is the run's own process: the leader of its group, with `pid` and `identity`."""
        self._limit = limit
        self._child = child
        self.guard = LogGuard(path, limit)
        #: Whether it was sent SIGINT.
        self.tripped = False
        self._ends, self._end = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="log-breaker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._end, b"x")
        self._thread.join()
        for descriptor in (self._ends, self._end):
            os.close(descriptor)
        self.guard.close()

    def _watch(self) -> None:
        while True:
            grown = self.guard.descriptor()
            watched = [self._ends] if grown is None else [self._ends, grown]
            if self._ends in select.select(watched, [], [], self.guard.pause_s)[0]:
                return
            self.guard.look(time.monotonic())
            if self.guard.size > self._limit and not self.tripped:
                self.tripped = True
                self._send(signal.SIGINT)
                os.kill(os.getpid(), signal.SIGUSR1)
            elif self.guard.size > self._limit * _PATIENT_UNTIL:
                self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        identity = self._child.identity
        if identity is not None and process.is_alive(identity._asdict()):
            process.signal_group(self._child.pid, number)
