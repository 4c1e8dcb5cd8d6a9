"""What stands in files that others write to, taken from them again only when they have changed."""

import os

from podops_runners import records
from podops_runners.record_cache import Kept, Mark
from podops_runners.typed import Callable, Dict, Generic, Optional, Tuple

#: What to keep of an open file, by its size and what was kept of it before; may raise `OSError`.
Take = Callable[[int, int, Optional[Kept]], Kept]


class OpenCache(Generic[Kept]):
    """As `record_cache.FileCache`, but a file is opened to see whether it has changed.

    On a network file system only that asks the server: a `stat` may tell what was true a minute ago, and what another
    pod writes there must be seen.
    """

    def __init__(self, take: "Take[Kept]") -> None:
        self._take = take
        # What was looked at since the last `forget_the_rest`, and what only before it.
        self._known: Dict[str, Tuple[Mark, Kept]] = {}
        self._older: Dict[str, Tuple[Mark, Kept]] = {}

    def look(self, path: str) -> Optional[Kept]:
        """`None` for what is not there, is no regular file, or cannot be read."""
        known = self._known.get(path) or self._older.pop(path, None)
        try:
            descriptor = records.regular_file(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                info = os.fstat(descriptor)
                mark = (info.st_mtime_ns, info.st_size, info.st_ino)
                if known is None or known[0] != mark:
                    known = (mark, self._take(descriptor, info.st_size, known and known[1]))
            finally:
                os.close(descriptor)
        except OSError:
            self._known.pop(path, None)
            return None
        self._known[path] = known
        return known[1]

    def moment(self, path: str) -> Optional[float]:
        """When it was written last, Unix time, as `look` found it; `None` for what it did not find."""
        known = self._known.get(path)
        return known and known[0][0] / 1e9

    def forget_the_rest(self) -> None:
        """Called again and again: forget what nobody has looked at between the last two times."""
        self._older, self._known = self._known, {}
