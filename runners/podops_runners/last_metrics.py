"""The last value of each metric of a run, from the end of a file that grows by a line at each step."""

import json
import os

from podops_runners import records
from podops_runners.metric_value import json_safe, value_of
from podops_runners.typed import Any, Dict, Optional, Tuple

#: What counts as the end: so many lines, and not more than so many bytes.
_LINES, _BYTES = 50, 16 * 1024

#: What counts as the end once the run has ended, bytes: a validation tells its values seldom.
_LAST_BYTES = 256 * 1024

#: So much of what was read before must still stand there, bytes; otherwise the file was written anew.
_SEAM = 64


class LastMetrics:
    """What one file says; `read` again when it has changed. Reads what was added since, and parses no line twice."""

    def __init__(self) -> None:
        #: By name, in the order in which they came. A fresh one after each `read`.
        self.values: Dict[str, float] = {}
        # Value, number of its line, and where that line begins.
        self._found: Dict[str, Tuple[float, int, int]] = {}
        self._lines = 0
        self._offset = 0
        self._seam = b""

    def read(self, descriptor: int, size: int) -> None:
        """Raises `OSError`."""
        if not self._goes_on(descriptor, size):
            # One byte more tells whether a line begins where the end begins.
            self._found, self._lines, self._offset, self._seam = {}, 0, max(0, size - _BYTES - 1), b""
        data = os.pread(descriptor, _BYTES + 1, self._offset)
        if self._offset and not self._seam:
            data = self._without_half_a_line(data)
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._lines += 1
            self._note(self._found, line, self._lines, self._offset)
            self._offset += len(line) + 1
        self._seam = (self._seam + data[: len(data) - len(rest)])[-_SEAM:]
        found, lines = self._found, self._lines
        if rest:
            # A last line without its end counts as long as it can be read; the next look takes it again.
            found, lines = dict(found), lines + 1
            self._note(found, rest, lines, self._offset)
        least = size - _BYTES
        self.values = {
            name: value for name, (value, line, place) in found.items() if line > lines - _LINES and place >= least
        }

    def _goes_on(self, descriptor: int, size: int) -> bool:
        """Whether what was read before is still there, and what came since is all to be read."""
        if not 0 <= size - self._offset <= _BYTES or (self._offset and not self._seam):
            return False
        length = len(self._seam)
        return not length or os.pread(descriptor, length, self._offset - length) == self._seam

    def _without_half_a_line(self, data: bytes) -> bytes:
        skipped = data.find(b"\n") + 1
        self._offset += skipped
        return data[skipped:] if skipped else b""

    @staticmethod
    def _note(found: Dict[str, Tuple[float, int, int]], line: bytes, number: int, place: int) -> None:
        try:
            record = json.loads(line.decode("utf-8", "replace")) if line else None
        except (ValueError, RecursionError):
            return
        for name, value in numbers(record).items():
            found[name] = (value, number, place)


def numbers(record: Any) -> Dict[str, float]:
    """What a record tells besides its time; a NaN is told, too, as it hides no number before it."""
    found = {}
    for name, told in record.items() if isinstance(record, dict) else ():
        value = value_of(told) if name != "time" else None
        if value is not None:
            found[str(name)] = value
    return found


def of_ended(path: str) -> Dict[str, Any]:
    """The last value of each metric in the file of a run that has ended, as it was written there; of a large file, in
    its end. Nothing where it cannot be read."""
    try:
        with open(path, "rb", opener=records.regular_file) as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _LAST_BYTES))
            lines = stream.read(_LAST_BYTES).split(b"\n")
    except OSError:
        return {}
    found: Dict[str, Any] = {}
    for record in records.objects_in(lines):
        for name, value in numbers(record).items():
            told = record[name]
            found[_utf8(name)] = value if isinstance(told, str) else told
    return json_safe(found)


def _utf8(name: str) -> str:
    """Half a character, which JSON can name, would make the record that tells of it unreadable."""
    return name.encode("utf-8", "replace").decode("utf-8")


def take(descriptor: int, size: int, before: Optional[LastMetrics]) -> LastMetrics:
    """For an `OpenCache`."""
    metrics = before or LastMetrics()
    metrics.read(descriptor, size)
    return metrics
