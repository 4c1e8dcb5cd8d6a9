"""Being woken when a file grows: inotify through ctypes, because the standard library has none."""

import ctypes
import os
import select
import time
from typing import Optional

_IN_MODIFY = 0x2
_IN_CREATE = 0x100
_IN_CLOEXEC = 0o2000000
_IN_NONBLOCK = 0o4000

#: How often a file is looked at where the kernel cannot tell (no inotify, a network file system), seconds.
POLL_S = 0.05

#: Even with inotify a look now and then: writes from another host on a shared volume wake nobody, seconds.
_LOOK_S = 0.5


class FileWatch:
    """Waits for changes of one file or directory; closes with `close`."""

    def __init__(self, path: str) -> None:
        self._descriptor: Optional[int] = None
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            descriptor = libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
            if descriptor >= 0:
                if libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_MODIFY | _IN_CREATE) >= 0:
                    self._descriptor = descriptor
                else:
                    os.close(descriptor)
        except (OSError, AttributeError):
            pass

    def wait(self, timeout_s: float) -> None:
        """Return at the next change, after `timeout_s`, or a little earlier."""
        if self._descriptor is None:
            time.sleep(min(timeout_s, POLL_S))
            return
        ready, _, _ = select.select([self._descriptor], [], [], min(timeout_s, _LOOK_S))
        if ready:
            try:
                os.read(self._descriptor, 65536)
            except OSError:
                pass

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
