"""What the run list tells of waiting runs, kept while nothing happens to them: a thousand may wait for days."""

import os
import time

from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, NamedTuple, Optional, Tuple

#: No volume tells the time of a change more coarsely, seconds.
_TICK_S = 2.0

#: Project and run id.
Key = Tuple[str, str]


class _Kept(NamedTuple):
    mark: Tuple[int, int]
    #: `time.monotonic()`
    read_at: float
    run: RunDir
    wire: Dict[str, Any]


class WireCache:
    """Whatever may happen to a waiting run changes its directory or `.ops`; till then it need not be read again."""

    def __init__(self, recheck_s: float) -> None:
        self._recheck_s = recheck_s
        self._kept: Dict[Key, _Kept] = {}

    def get(self, key: Key) -> Optional[Tuple[RunDir, Dict[str, Any]]]:
        """The run and its wire form as it was kept; `None` when it must be read."""
        kept = self._kept.get(key)
        fresh = kept is not None and time.monotonic() - kept.read_at < self._recheck_s and _mark(kept.run) == kept.mark
        return (kept.run, kept.wire) if kept is not None and fresh else None

    def keep(self, key: Key, run: RunDir, wire: Dict[str, Any]) -> None:
        """Keep what was just read."""
        mark = _mark(run)
        # Of two changes within one tick of the volume's clock, the second cannot be seen.
        if mark is not None and abs(time.time() - max(mark) / 1e9) > _TICK_S:
            self._kept[key] = _Kept(mark, time.monotonic(), run, wire)

    def forget(self, key: Key) -> None:
        self._kept.pop(key, None)


def _mark(run: RunDir) -> Optional[Tuple[int, int]]:
    """When entries of the directory and of `.ops` were last made, replaced or taken away."""
    try:
        return os.stat(run.path).st_mtime_ns, os.stat(run.private).st_mtime_ns
    except OSError:
        return None
