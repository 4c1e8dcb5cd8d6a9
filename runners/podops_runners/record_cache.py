"""Records read again only when their file has changed."""

import os

from podops_runners import records
from podops_runners.typed import Any, Callable, Dict, Generic, Optional, Tuple, TypeVar

#: modification time in ns, size, inode
Mark = Tuple[int, int, int]
Record = Optional[Dict[str, Any]]
Kept = TypeVar("Kept")


class FileCache(Generic[Kept]):
    """What `take` makes of each file: one per process that looks at many runs again and again."""

    def __init__(self, take: Callable[[str], Kept]) -> None:
        """`take` must not raise; what it returns is all that is kept of a file."""
        self._take = take
        # What was looked at since the last `forget_the_rest`, and what only before it.
        self._known: Dict[str, Tuple[Mark, Kept]] = {}
        self._older: Dict[str, Tuple[Mark, Kept]] = {}

    @property
    def size(self) -> int:
        """Of how many files something is kept."""
        return len(self._known) + len(self._older)

    def look(self, path: str) -> Optional[Kept]:
        """`None` for a file that is not there; costs one `stat` while the file stays the same."""
        try:
            info = os.stat(path)
        except OSError:
            self.forget(path)
            return None
        mark = (info.st_mtime_ns, info.st_size, info.st_ino)
        known = self._known.get(path) or self._older.pop(path, None)
        if known is None or known[0] != mark:
            known = (mark, self._take(path))
        self._known[path] = known
        return known[1]

    def forget(self, path: str) -> None:
        self._known.pop(path, None)
        self._older.pop(path, None)

    def forget_the_rest(self) -> None:
        """Called again and again: forget what nobody has looked at between the last two times; its run may be gone."""
        self._older, self._known = self._known, {}


class RecordCache(FileCache[Tuple[Record, Optional[str]]]):
    """Keeps whole records."""

    def __init__(self) -> None:
        super().__init__(records.read_record)

    def read(self, path: str) -> Tuple[Record, Optional[str]]:
        """As `records.read_record`."""
        return self.look(path) or (None, None)
