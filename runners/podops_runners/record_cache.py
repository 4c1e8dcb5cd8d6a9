"""Records read again only when their file has changed."""

import os
from typing import Any, Dict, Optional, Tuple

from podops_runners import records

#: modification time in ns, size, inode
Mark = Tuple[int, int, int]
Read = Tuple[Optional[Dict[str, Any]], Optional[str]]


class RecordCache:
    """One per process that looks at many runs again and again."""

    def __init__(self) -> None:
        self._known: Dict[str, Tuple[Mark, Read]] = {}

    def read(self, path: str) -> Read:
        """As `records.read_record`; costs one `stat` while the file stays the same."""
        try:
            info = os.stat(path)
        except OSError:
            self._known.pop(path, None)
            return None, None
        mark = (info.st_mtime_ns, info.st_size, info.st_ino)
        known = self._known.get(path)
        if known is None or known[0] != mark:
            known = (mark, records.read_record(path))
            self._known[path] = known
        return known[1]

    def forget(self, path: str) -> None:
        self._known.pop(path, None)
