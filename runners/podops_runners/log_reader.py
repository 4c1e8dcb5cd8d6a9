"""Reading a run's log behind the run, without ever falling far behind it."""

import os

from podops_runners.typed import Tuple

#: More unread bytes than this are not read: only the end of them is.
_MOST_BEHIND = 16 * 1024 * 1024
_END_KEPT = 1024 * 1024

#: Whoever reads looks at the time between two pieces.
_PIECE = 16 * 1024


class LogReader:
    """What has been read ends at `offset`. A run may print faster than anybody can read; the file has it all anyway."""

    def __init__(self, path: str, start: int = 0) -> None:
        self._path = path
        self._jumped = False
        self.offset = start
        #: Some of the log was left out, and its end has not been reached since.
        self.outrun = False

    def next(self) -> Tuple[bytes, bool]:
        """The next piece, empty at the end, and whether bytes were left out just before it."""
        try:
            with open(self._path, "rb") as stream:
                if os.fstat(stream.fileno()).st_size - self.offset > _MOST_BEHIND:
                    self.jump()
                stream.seek(self.offset)
                data = stream.read(_PIECE)
        except OSError:
            return b"", False
        self.offset += len(data)
        self.outrun = self.outrun and bool(data)
        jumped, self._jumped = self._jumped, False
        return data, jumped

    def jump(self) -> None:
        """Leave out everything unread but the lines at its end."""
        try:
            with open(self._path, "rb") as stream:
                start = os.fstat(stream.fileno()).st_size - _END_KEPT
                if start > self.offset:
                    stream.seek(start)
                    self.offset = start + len(stream.readline(_PIECE))
                    self._jumped = self.outrun = True
        except OSError:
            pass
