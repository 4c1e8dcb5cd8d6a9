"""Being woken when a file grows: inotify through ctypes, because the standard library has none."""

import ctypes
import os
import select
import time

from podops_runners.typed import Optional

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
        self._poll = select.poll()
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            descriptor = libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
            if descriptor >= 0:
                if libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_MODIFY | _IN_CREATE) >= 0:
                    self._descriptor = descriptor
                    self._poll.register(descriptor, select.POLLIN)
                else:
                    os.close(descriptor)
        except (OSError, AttributeError):
            pass

    def wait(self, timeout_s: float) -> None:
        """Return at a change since the last `forget`, after `timeout_s`, or a little earlier."""
        # A time that has just passed is not the negative one that waits for ever.
        left = max(0.0, timeout_s)
        if self._descriptor is None:
            time.sleep(min(left, POLL_S))
        else:
            self._poll.poll(1000.0 * min(left, _LOOK_S))

    def forget(self) -> None:
        """Whatever has changed until now has been seen, or is looked at next."""
        if self._descriptor is not None:
            try:
                os.read(self._descriptor, 65536)
            except OSError:
                pass  # nothing has

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
