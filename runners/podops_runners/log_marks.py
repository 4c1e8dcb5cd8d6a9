"""What a log holds beside its bytes: ranges that `max_log_size` has freed, and the places where attempts begin."""

import json
import os

from podops_runners import records
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional, Tuple

_PIECE = 1024 * 1024


class Begin(NamedTuple):
    """An attempt after the first begins at `offset`; `after` is why the one before ended."""

    offset: int
    number: int
    after: str


class LogMarks:
    """The marks of one run's log, read again only as far as their records have grown."""

    def __init__(self, run: RunDir) -> None:
        self._log = run.stdout_log
        self._events = _GrowingLines(run.events, b'"log_gap"')
        self._attempts = _GrowingLines(run.attempts, b'"attempt"')
        self._gaps: List[Tuple[int, int]] = []
        self._ends: List[Tuple[int, int, str]] = []

    def forget(self) -> None:
        """The records of the run are others now: read them from their beginning."""
        for lines in (self._events, self._attempts):
            lines.offset = 0
        self._gaps, self._ends = [], []

    def gaps(self, log: Optional[os.stat_result] = None) -> List[Tuple[int, int]]:
        """The freed ranges `(start, end)` in order, those that touch made one. Reading there would give zero bytes.

        `log` is what was just seen of the log, where somebody has looked already.
        """
        if not (_has_holes(self._log) if log is None else log.st_blocks * 512 < log.st_size):
            return []
        found = [(_place(event.get("start")), _place(event.get("end"))) for event in self._events.new()]
        for start, end in sorted((start, end) for start, end in found if start is not None and end is not None):
            if self._gaps and self._gaps[-1][0] <= start <= self._gaps[-1][1]:
                self._gaps[-1] = (self._gaps[-1][0], max(end, self._gaps[-1][1]))
            elif end > start:
                self._gaps.append((start, end))
        return self._gaps

    def none_begins_from(self, offset: int) -> bool:
        """Whether no attempt begins at `offset` or later; also false where there are records that were not read yet."""
        return not self._attempts.have_grown() and all(end < offset for end, _, _ in self._ends)

    def ends(self) -> List[int]:
        """Where attempts have ended, as far as that was read."""
        return [end for end, _, _ in self._ends]

    def begins(self) -> List[Begin]:
        """Where attempts after the first begin, in order."""
        for line in self._attempts.new():
            number, end = _place(line.get("attempt")), _place(line.get("log_end"))
            if number is not None and end is not None:
                self._ends.append((end, number, str(line.get("reason") or "")))
        # The end of the last one begins another only when something has been printed since.
        followed = len(self._ends) - (0 if self._ends and self._ends[-1][0] < _size(self._log) else 1)
        return [Begin(end, number + 1, reason) for end, number, reason in self._ends[: max(0, followed)]]


def gap_at(gaps: List[Tuple[int, int]], offset: int) -> Optional[Tuple[int, int]]:
    """The gap that `offset` lies in."""
    return next((gap for gap in gaps if gap[0] <= offset < gap[1]), None)


def freed_bytes(gaps: List[Tuple[int, int]], start: int, end: int) -> int:
    """How many bytes of `[start, end)` lie in gaps."""
    return sum(max(0, min(end, gap[1]) - max(start, gap[0])) for gap in gaps)


class _GrowingLines:
    """JSON lines of a file that is only ever added to; of other lines than those with `word` nothing is kept."""

    def __init__(self, path: str, word: bytes) -> None:
        self._path = path
        self._word = word
        self.offset = 0

    def have_grown(self) -> bool:
        """Whether anything has been added since it was read."""
        # As a rule there is none: to be told so by an exception takes longer.
        return os.access(self._path, os.F_OK) and _size(self._path) > self.offset

    def new(self) -> List[Dict[str, Any]]:
        """What has been added since the last call."""
        if not self.have_grown():
            return []
        try:
            with open(self._path, "rb", opener=records.regular_file) as stream:
                stream.seek(self.offset)
                return self._read(stream)
        except OSError:
            return []

    def _read(self, stream: Any) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = []
        while True:
            line = stream.readline(_PIECE)
            if not line.endswith(b"\n"):
                # It is still being written.
                return found
            self.offset += len(line)
            record = _loaded(line) if self._word in line else None
            if record is not None:
                found.append(record)


def _loaded(line: bytes) -> Optional[Dict[str, Any]]:
    try:
        record = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _place(value: Any) -> Optional[int]:
    number = records.number(value)
    return int(number) if number is not None and number >= 0 else None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _has_holes(path: str) -> bool:
    try:
        info = os.stat(path)
    except OSError:
        return False
    return info.st_blocks * 512 < info.st_size
