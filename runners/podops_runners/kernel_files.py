"""Files of `/proc` and `/sys` that are read again and again."""

import os

from podops_runners.typed import Dict

#: Most files that the kernel writes for us are far smaller.
_CHUNK = 1 << 16

#: No such file is longer.
_MOST = 1 << 22


class KernelFiles:
    """Keeps each file open, because opening one costs several times what reading it does. Not for several threads.

    Only for files that are never replaced: of one that is, the old content would be read.
    """

    def __init__(self) -> None:
        self._open: Dict[str, int] = {}

    def read(self, path: str) -> bytes:
        """All of it as it is now; empty where there is none, or none that can be read."""
        descriptor = self._open.get(path)
        if descriptor is not None:
            try:
                return _whole(descriptor)
            except OSError:
                # A control group that was removed, say: there may be another one of its name.
                os.close(self._open.pop(path))
        try:
            # Not to be waited for, should it be a pipe, and not to be inherited, as all that Python opens.
            descriptor = self._open[path] = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            return _whole(descriptor)
        except OSError:
            return b""

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


def _whole(descriptor: int) -> bytes:
    # From the start each time: that is what makes the kernel write it anew.
    data = os.pread(descriptor, _CHUNK, 0)
    while 0 < len(data) < _MOST:
        more = os.pread(descriptor, _CHUNK, len(data))
        if not more:
            break
        data += more
    return data
