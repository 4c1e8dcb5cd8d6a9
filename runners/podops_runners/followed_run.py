"""Whether more is to be expected of the log of a run that is followed, and why it cannot be read meanwhile."""

import os
import time

from podops_runners import at_work, states
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Callable, Dict, Optional

#: A run's state costs several reads, so that it is asked for so often only, seconds.
_ASK_S = 1.0

#: A directory that was missing at every look for so long is gone: one that is submitted anew, or whose volume is
#: mounted again in a moment, is back by then. Seconds.
_SURELY_S = 3.0


class FollowedRun:
    """One run as whoever follows its log sees it."""

    def __init__(self, run: RunDir, told: Callable[[], Dict[str, Any]]) -> None:
        """`told` is the run in its wire form, while its directory is there."""
        self._run = run
        self._told = told
        self._asked = 0.0
        self._over = False
        self._missing_since: Optional[float] = None
        self._trouble = ""

    def trouble(self) -> str:
        """Why nothing of the log can be read, as of the last question whether it is over; empty when all is well."""
        return self._trouble

    def is_over(self) -> bool:
        """Whether nothing more comes: the run has ended, or its directory is gone and nothing works on it."""
        if os.path.exists(self._run.summary):
            self._trouble = ""
            return True
        # What is back is told at once.
        if time.monotonic() - self._asked >= _ASK_S or (self._trouble and os.path.isdir(self._run.path)):
            self._asked = time.monotonic()
            self._over = self._look()
        return self._over

    def _look(self) -> bool:
        if os.path.isdir(self._run.path):
            if _may_grow(self._told()):
                self._missing_since, self._trouble = None, ""
                return False
            # Unless it was taken away while it was looked at, or its records were.
            if os.path.isdir(self._run.path) and not at_work.lives_on(self._run.path):
                self._trouble = ""
                return True
        return self._look_elsewhere()

    def _look_elsewhere(self) -> bool:
        """The same of a run whose directory is missing."""
        path = self._run.path
        if at_work.lives_on(path) and not at_work.end_of(path):
            self._missing_since, self._trouble = None, at_work.GONE
            return False
        root = os.path.dirname(path)
        if not os.path.isdir(root) and not at_work.is_known(path):
            self._trouble = "the outputs root {} is gone, perhaps with its volume".format(root)
            return False
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        if now - self._missing_since < _SURELY_S:
            return False
        self._trouble = at_work.gone(path)
        return True


def _may_grow(run: Dict[str, Any]) -> bool:
    """Whether anything may still write the log: a lost run's child may be gone, or run on unwatched."""
    return run["state"] in states.ACTIVE or run["state"] in (states.QUEUED, states.HELD)
