"""Signals as messages: taken when it suits, and waking whoever waits."""

import os
import select
import signal

from podops_runners.typed import List, Optional

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

    def wait(self, timeout_s: float, also: Optional[int] = None) -> bool:
        """Return at the next signal, when `also` can be read, at the latest after `timeout_s`; whether one came."""
        watched = [self._reader] if also is None else [self._reader, also]
        ready, _, _ = select.select(watched, [], [], max(0.0, timeout_s))
        if self._reader in ready:
            os.read(self._reader, 4096)
        return self._reader in ready

    def take(self) -> List[int]:
        """What has come since the last call."""
        got, self._got = self._got, []
        return got
