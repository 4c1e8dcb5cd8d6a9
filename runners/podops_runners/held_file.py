"""A file that stays open from one piece to the next: opening it takes longer than reading a line."""

import os

from podops_runners.records import regular_file
from podops_runners.typed import Optional, Tuple

#: Which file it is: device and number.
Identity = Tuple[int, int]


def identity(info: os.stat_result) -> Identity:
    return info.st_dev, info.st_ino


class HeldFile:
    """The file at `path`, for one thread. Nothing here raises: what cannot be read is empty."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: Optional[int] = None
        self._identity: Optional[Identity] = None

    def read(self, wanted: Identity, offset: int, length: int) -> bytes:
        """So much from there, less at the end; of what is at `path` now, which is `wanted` unless that just changed."""
        held = wanted == self._identity
        if not held:
            self._open()
        data = more = self.more(offset, length)
        if held and not data:
            # It has gone stale (another host, a mount that was lost), or tells only whoever opens it what was added.
            self._open()
            data = more = self.more(offset, length)
        while more and len(data) < length:
            more = self.more(offset + len(data), length - len(data))
            data += more
        return data

    def more(self, offset: int, length: int) -> bytes:
        """At most so much of the file that was read last, wherever it is now; empty before that."""
        if self._descriptor is None:
            return b""
        try:
            return os.pread(self._descriptor, length, max(0, offset))
        except OSError:
            return b""

    def keep_only(self, wanted: Optional[Identity]) -> None:
        """Hold no other file than `wanted`: one that was deleted would keep its space."""
        if wanted != self._identity:
            self.close()

    def close(self) -> None:
        descriptor, self._descriptor, self._identity = self._descriptor, None, None
        if descriptor is not None:
            try:
                os.close(descriptor)
            except OSError:
                pass  # of a mount that is gone

    def _open(self) -> None:
        self.close()
        try:
            self._descriptor = regular_file(self._path, os.O_RDONLY | os.O_CLOEXEC)
            self._identity = identity(os.fstat(self._descriptor))
        except OSError:
            self.close()
