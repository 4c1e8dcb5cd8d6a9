"""Whether a run directory is there: its volume may go away and come back, and a person may remove it for good."""

import errno
import os

from podops_runners.rundir import RunDir
from podops_runners.typed import Optional

#: What a volume says that is full, read-only, cut off or gone: all of it may pass.
_PASSING = (
    errno.ENOENT,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
)


class Presence:
    """Holds the directory open, so that it can tell a volume that has gone from a directory that was removed."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        try:
            self._held = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            self._held = -1

    def is_there(self) -> bool:
        """Whether it can be found where it belongs."""
        return os.path.isdir(self._run.path)

    def refusal(self) -> Optional[OSError]:
        """Why no child can be started now that writes to `stdout.log`, as far as it may pass by itself."""
        try:
            os.close(os.open(self._run.stdout_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644))
        except OSError as error:
            return error if error.errno in _PASSING and not self.is_deleted() else None
        return None

    def is_deleted(self) -> bool:
        """Whether somebody removed the directory, or is about to: nothing is to be written there ever again."""
        if self._held < 0:
            return False
        try:
            for path in (self._run.spec, self._run.claim):
                os.stat(os.path.relpath(path, self._run.path), dir_fd=self._held)
        except FileNotFoundError:
            return True
        except OSError:
            pass
        return False
