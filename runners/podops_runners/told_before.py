"""The metrics that the supervisor before this one has written, and that are found in the log again."""

import os

from podops_runners.metrics_scrape import MAX_LINE
from podops_runners.records import objects_in, regular_file
from podops_runners.typed import Any, Dict, List, Tuple

#: So much of the end of the file is looked at, bytes: an index line comes each second.
_MOST_BYTES = 256 * 1024


class ToldBefore:
    """The records at the end of a metrics file that are newer than `since`, the last index of the log."""

    def __init__(self, path: str = "", since: float = 0.0) -> None:
        #: The last of all, without its time.
        self.last: Dict[str, Any] = {}
        # The oldest last.
        self._told: List[Dict[str, Any]] = []
        for record in reversed(_records(path) if path else []):
            moment = record.pop("time", None)
            self.last = self.last or dict(record)
            if not isinstance(moment, (int, float)) or moment <= since:
                break
            self._told.append(record)

    def has(self, record: Dict[str, Any]) -> bool:
        """Whether a record that is found now is the next of those; once one is not, none is.

        They are compared in their order and not by their steps, which begin again with every epoch. An epoch that
        lines before it have told may be another than it was.
        """
        if self._told:
            told = self._told.pop()
            if all(told.get(name) == value for name, value in record.items() if name != "epoch"):
                return True
            self.forget()
        return False

    def forget(self) -> None:
        self._told = []


def last_indexed(index: str, log: str) -> Tuple[float, int]:
    """Until when a log was read, and where the line begins that was read last; zeros when nobody knows.

    `index` ends with that time and with the offset, which may lie within a line.
    """
    try:
        moment, offset = _end_of(index, 256).split(b"\n")[-2].split()[-2:]
        return float(moment), _begin_of_line(log, int(offset))
    except (OSError, ValueError, IndexError):
        return 0.0, 0


def _begin_of_line(log: str, offset: int) -> int:
    with open(log, "rb", opener=regular_file) as stream:
        stream.seek(max(0, offset - MAX_LINE))
        begun = stream.read(min(offset, MAX_LINE))
    return offset - len(begun) + max(begun.rfind(b"\n"), begun.rfind(b"\r")) + 1 if begun else offset


def _records(path: str) -> List[Dict[str, Any]]:
    """The whole lines at the end of a file of JSON objects."""
    try:
        return objects_in(_end_of(path, _MOST_BYTES).split(b"\n")[:-1])
    except OSError:
        return []


def _end_of(path: str, size: int) -> bytes:
    with open(path, "rb", opener=regular_file) as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - size))
        return stream.read()
