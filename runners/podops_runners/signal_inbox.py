"""Signals as messages: taken when it suits, and waking whoever waits."""

import os
import select
import signal
from typing import List

_TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP)


class SignalInbox:
    """From now on these signals end nothing; one per process."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._got: List[int] = []
        for number in _TAKEN:
            # Handlers, never SIG_IGN: what is ignored would stay ignored in the child.
            signal.signal(number, lambda got, _frame: self._got.append(got))

    def wait(self, timeout_s: float) -> None:
        """Return at the next signal, at the latest after `timeout_s`."""
        ready, _, _ = select.select([self._reader], [], [], max(0.0, timeout_s))
        if ready:
            os.read(self._reader, 4096)

    def take(self) -> List[int]:
        """What has come since the last call."""
        got, self._got = self._got, []
        return got
