"""Ending a run: SIGINT to its group, SIGTERM after a grace period, SIGKILL to the whole tree after another."""

import signal

from podops_runners import process
from podops_runners.typed import Optional


class GracefulStop:
    """The escalation of one stop; `advance` is called as often as one likes and does each step once."""

    def __init__(self, group: int, run_dir: str, grace_s: float, now: float, begun: bool = False) -> None:
        """With `begun` somebody has sent it SIGINT already."""
        self._group = group
        self._run_dir = run_dir
        self._grace_s = max(0.0, grace_s)
        self._started = now
        self._sent = 1 if begun else 0
        self.last_signal: Optional[int] = int(signal.SIGINT) if begun else None

    def shorten(self, grace_s: float) -> None:
        """A second, more impatient request may bring the next step forward, never push it back."""
        self._grace_s = min(self._grace_s, max(0.0, grace_s))

    def advance(self, now: float) -> None:
        steps = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        if self._sent < len(steps) and now - self._started >= self._sent * self._grace_s:
            self._send(steps[self._sent])
            self._sent += 1

    def finish(self) -> None:
        """The child itself has ended: end what it left behind."""
        kill_tree(None, self._run_dir)

    def _send(self, number: int) -> None:
        self.last_signal = int(number)
        if number == signal.SIGKILL:
            process.signal_group(self._group, number)
            kill_tree(self._group, self._run_dir)
        else:
            process.signal_group(self._group, number)


def kill_tree(root: Optional[int], run_dir: str) -> None:
    """SIGKILL every process of the run, again until none is found (a fork may race the first sweep)."""
    for _ in range(10):
        tree = process.run_tree(root, run_dir)
        if not tree:
            return
        process.signal_all(tree, signal.SIGKILL)
