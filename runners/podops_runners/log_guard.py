"""How soon a log with a size limit must be looked at again, so that it does not outgrow the limit by much.

A log that is quiet costs nothing: the kernel wakes us when it grows. One that grows is looked at four times, at least,
before it can reach its limit at the rate it grows at now.
"""

import ctypes
import os

from podops_runners.typed import Optional

#: Linux: inotify(7).
_IN_MODIFY, _IN_ONESHOT = 0x2, 0x80000000
_IN_CLOEXEC, _IN_NONBLOCK = 0o2000000, 0o4000

#: Between two looks, seconds: the shortest while it matters, and the longest.
SHORTEST_S, LONGEST_S = 0.005, 0.25

#: No run writes faster than this, bytes a second: so far from the limit nothing can happen between two looks.
_FASTEST = 2.0 * 1024 * 1024 * 1024


class LogGuard:
    """Looks at the file `path`, which should take at most `limit` bytes."""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._inotify = _open_inotify()
        self._watched = False
        self._size = 0
        self._looked_at = 0.0
        #: How long the next look may be off, seconds.
        self.pause_s = 0.0
        #: The size of the file, and the space that it takes, as of the last look.
        self.size = self.space = 0

    def descriptor(self) -> Optional[int]:
        """Readable once the file has grown; `None` when there is nothing to be woken by."""
        return self._inotify if self._watched else None

    def look(self, now: float) -> None:
        """Read the size, and find out how long it may grow unseen."""
        try:
            info = os.stat(self._path)
        except OSError:
            self.pause_s = LONGEST_S
            return
        woken = self._forget_wake()
        grown, took = info.st_size - self._size, now - self._looked_at
        self._size = self.size = info.st_size
        self._looked_at = now
        self.space = info.st_blocks * 512
        left = self._limit - min(self.size, self.space or self.size)
        if grown > 0 and not woken and took > 0:
            self.pause_s = _between(left / (4.0 * grown / took))
        elif grown > 0:
            self.pause_s = _between(left / _FASTEST)  # nobody knows yet how fast
        elif left > _FASTEST * LONGEST_S or self._watch():
            self.pause_s = LONGEST_S
        else:
            self.pause_s = _between(left / _FASTEST)

    def close(self) -> None:
        if self._inotify is not None:
            os.close(self._inotify)
            self._inotify = None
        self._watched = False

    def _watch(self) -> bool:
        """Be woken at the next write, and only at that: a run is not to pay for each of its writes."""
        if self._inotify is not None and not self._watched:
            libc = ctypes.CDLL(None, use_errno=True)
            added = libc.inotify_add_watch(self._inotify, os.fsencode(self._path), _IN_MODIFY | _IN_ONESHOT)
            self._watched = added >= 0
        return self._watched

    def _forget_wake(self) -> bool:
        """Whether the file has woken us."""
        if self._inotify is None or not self._watched:
            return False
        try:
            self._watched = not os.read(self._inotify, 4096)
        except OSError:
            return False
        return True


def _between(seconds: float) -> float:
    return min(LONGEST_S, max(SHORTEST_S, seconds))


def _open_inotify() -> Optional[int]:
    try:
        descriptor: int = ctypes.CDLL(None, use_errno=True).inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
    except (OSError, AttributeError):
        return None
    return descriptor if descriptor >= 0 else None
