"""Following one file for one subscriber: from a place in it, as it grows, within a window."""

import os
import threading
import time

from podops_runners.frames import encode_frame, encode_log_frame
from podops_runners.held_file import HeldFile, Identity, identity
from podops_runners.inotify import FileWatch
from podops_runners.log_marks import Begin, LogMarks, freed_bytes, gap_at
from podops_runners.records import regular_file
from podops_runners.typed import Callable, Dict, Optional, Sequence, Tuple

_CHUNK = 128 * 1024

#: Room for so much is made at least, bytes: more may have been written since the size was asked for.
_LEAST = 4096

#: A subscriber further behind than so many windows is taken forward, unless it wants every byte.
_BEHIND_WINDOWS = 4

#: A log of more lines a second than this is sent so often at most, seconds: a piece for every line costs its reader
#: more than anybody sees of it. A piece of so many bytes is worth sending at once.
_MANY_LINES, _GATHER_S, _WORTH = 50, 0.1, 8192

#: How often a file is looked at that nothing wakes us for, at least, seconds.
_LOOK_S = 1.0

Gaps = Sequence[Tuple[int, int]]


class LogFollower:
    """A thread that sends a file's bytes, in frames, until `stop`, or until the run has ended and all is sent.

    With `marks` it passes over what was freed, and says where attempts begin. `whose` tells whose log it is, empty
    while that is not known: of a run that is submitted anew another log is pushed, from its beginning; `owner` is whose
    it was when it was followed before. `trouble` tells why nothing of it can be read now, and is asked after `ended`.
    """

    def __init__(
        self,
        sub: int,
        path: str,
        offset: int,
        window: int,
        lossless: bool,
        send: Callable[[bytes], None],
        ended: Callable[[], bool],
        marks: Optional[LogMarks] = None,
        whose: Callable[[], str] = str,
        owner: str = "",
        trouble: Callable[[], str] = str,
    ) -> None:
        self._sub = sub
        self._path = path
        self._offset = offset
        self._window = max(4096, window)
        self._lossless = lossless
        self._send = send
        self._ended = ended
        self._marks = marks
        self._whose = whose
        now = whose()
        self._owner = now or owner
        self._trouble = trouble
        # The trouble that the subscriber was told of last.
        self._troubled = ""
        # Whether the file that is there now is that of the owner.
        self._sure = bool(now)
        # The file that was looked at last, and the one that was read last.
        self._file: Optional[Identity] = None
        self._held = HeldFile(path)
        self._watch: Optional[FileWatch] = None
        self._watched: Optional[Identity] = None
        self._anew = False
        # Whether the last piece was one of many.
        self._behind = False
        self._acked = offset
        self._skipped = 0
        self._freed = 0
        # Every attempt that begins before here has been told of.
        self._told = offset
        self._lines = _LineRate()
        self._room = threading.Condition()
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="follow-{}".format(self._sub), daemon=True).start()

    def ack(self, offset: int) -> None:
        with self._room:
            self._acked = max(self._acked, offset)
            self._room.notify()

    def stop(self) -> None:
        with self._room:
            self._stopped = True
            self._room.notify()

    def _run(self) -> None:
        try:
            while not self._stopped:
                # First of all, as somebody waits for it.
                self._send_grown()
                self._keep_watch()
                if self._watch is not None:
                    self._watch.forget()
                if self._send_available():
                    continue
                if self._ended():
                    # What was written before the end.
                    if self._send_available():
                        continue
                    self._emit(b"", self._marks.begins() if self._marks else (), eof=True)
                    return
                self._tell_trouble()
                (self._watch or _NO_WATCH).wait(_LOOK_S)
        finally:
            self._held.close()
            self._end_watch()

    def _tell_trouble(self) -> None:
        """Say that nothing can be read now, or that it can be again."""
        trouble = self._trouble()
        if trouble:
            # The file is written elsewhere: each line of it would wake us for nothing.
            self._end_watch()
        if trouble != self._troubled:
            self._emit(b"")

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _keep_watch(self) -> None:
        """Be woken by the file that has this name now."""
        if self._watch is not None and self._file in (None, self._watched):
            return
        info = _look(self._path)
        if info is not None:
            self._end_watch()
            self._watch, self._watched = FileWatch(self._path), identity(info)

    def _send_grown(self) -> None:
        """Send the next few lines of the file that was read last, if that is all there is to it.

        A line is on its way before anything else is looked at, which saves a third of its time on the pod. What is
        rare is left to the closer look that always follows: another file of this name, a window that is full,
        attempts that begin, what was freed (it reads as zeros).
        """
        # Of what was passed over, something is to be told.
        passed = self._anew or self._told != self._offset
        if passed or self._behind or self._offset - self._acked >= self._window:
            return
        most = min(_WORTH, self._window)
        data = self._held.more(self._offset, most)
        if not data or len(data) == most or b"\0" in data:
            return
        if self._marks and not self._marks.none_begins_from(self._offset):
            return
        self._send(encode_log_frame(self._sub, self._offset, data))
        self._offset += len(data)
        self._told = self._offset
        self._wait_for_more(data)

    def _send_available(self) -> bool:
        """Send the next piece, if there is one and room for it; whether to come back at once."""
        info = _look(self._path)
        self._held.keep_only(identity(info) if info else None)
        if info is None or not self._is_known(info):
            return False
        size = info.st_size
        if size < self._offset:
            if self._held.more(self._offset - 1, 1):
                return False  # it has what was sent: some volumes remember a size for a while
            self._begin_anew()  # the file was cut off: what stands there now is new
        if size == self._offset:
            return False
        with self._room:
            if self._offset - self._acked >= self._window:
                self._room.wait(0.5)
                return True
        gaps = self._marks.gaps(info) if self._marks else []
        gap = gap_at(gaps, self._offset)
        if gap is not None:
            self._go_to(min(size, gap[1]), gaps)
        if not self._lossless and size - self._offset > _BEHIND_WINDOWS * self._window:
            self._skip_to(size - self._window, gaps)
        begins = self._marks.begins() if self._marks else []
        # Not more room than is needed: it costs more than a line.
        length = min(_CHUNK, self._window, max(_LEAST, size - self._offset), self._smooth(gaps))
        data = self._held.read(identity(info), self._offset, length)
        self._behind = len(data) >= _WORTH
        if data:
            self._emit(data, begins)
            self._wait_for_more(data)
        return bool(data)

    def _wait_for_more(self, sent: bytes) -> None:
        """A log of many lines a second is not sent line by line."""
        if len(sent) < _WORTH and self._lines.many(sent):
            with self._room:
                self._room.wait_for(lambda: self._stopped, _GATHER_S)

    def _is_known(self, info: os.stat_result) -> bool:
        """Whether it is known whose log the file is; one of another run is gone through from its beginning."""
        file = identity(info)
        if file != self._file and self._owner and not (self._file is None and self._sure):
            # Some volumes give a file another number now and then: that alone says nothing.
            owner = self._whose()
            if not owner:
                return False
            if owner != self._owner:
                self._owner = owner
                self._begin_anew()
        self._file = file
        return True

    def _begin_anew(self) -> None:
        self._offset = self._acked = self._told = 0
        self._skipped = self._freed = 0
        self._anew = True
        if self._marks:
            self._marks.forget()

    def _smooth(self, gaps: Gaps) -> int:
        """How many bytes there are before the next gap, or where an attempt has ended: the next may begin there now."""
        places = [gap[0] for gap in gaps] + (self._marks.ends() if self._marks else [])
        return min([place for place in places if place > self._offset] or [self._offset + _CHUNK]) - self._offset

    def _skip_to(self, target: int, gaps: Gaps) -> None:
        """Go forward to the first line start at or after `target`; in a longer line, to where it is begun anew."""
        gap = gap_at(list(gaps), target)
        target = gap[1] if gap else target
        data = _read(self._path, target, _CHUNK)
        self._go_to(target + (data.find(b"\n") + 1 or data.find(b"\r") + 1), gaps)

    def _go_to(self, target: int, gaps: Gaps) -> None:
        freed = freed_bytes(list(gaps), self._offset, target)
        self._freed += freed
        self._skipped += target - self._offset - freed
        self._offset = target
        self._acked = max(self._acked, target)

    def _emit(self, data: bytes, begins: Sequence[Begin] = (), eof: bool = False) -> None:
        header = {
            "push": "log",
            "sub": self._sub,
            "offset": self._offset,
            "skipped": self._skipped,
            "eof": eof,
        }  # type: Dict[str, object]
        if self._freed:
            header["gap"] = self._freed
        if self._anew:
            header["anew"], header["log"] = True, self._owner
            self._anew = False
        # Where there is something to send, all is well again.
        trouble = "" if data else self._trouble()
        if trouble != self._troubled or (eof and trouble):
            header["trouble"] = self._troubled = trouble
        begun = [begin for begin in begins if self._told <= begin.offset <= self._offset]
        if begun:
            header["attempt"], header["after"] = begun[-1].number, begun[-1].after
        self._offset += len(data)
        self._told = self._offset if data else self._told
        self._skipped = self._freed = 0
        self._send(encode_frame(header, data))


class _LineRate:
    """Whether a log grows by many lines a second, by this second and the one before."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._count = 0
        self._were_many = False

    def many(self, data: bytes) -> bool:
        now = time.monotonic()
        if now - self._since >= 1.0:
            self._were_many = self._count > _MANY_LINES and now - self._since < 2.0
            self._since, self._count = now, 0
        self._count += data.count(b"\n")
        return self._were_many or self._count > _MANY_LINES


class _NoWatch:
    def wait(self, timeout_s: float) -> None:
        threading.Event().wait(min(timeout_s, 0.1))


_NO_WATCH = _NoWatch()


def start_offset(path: str, place: Dict[str, object], gaps: Gaps = ()) -> "tuple[int, int]":
    """`(offset, size)` for `{"offset": n}`, `{"tail_bytes": n}` or `{"tail_lines": n}`; the start when nothing fits.

    With `within: [start, end]` the lines or bytes are counted from that end, and not beyond that start.
    """
    size = _size(path)
    first, end = _within(place.get("within"), size)
    lines, count, offset = place.get("tail_lines"), place.get("tail_bytes"), place.get("offset")
    if isinstance(lines, int):
        return max(first, _line_start(path, end, max(0, lines), gaps)), size
    if isinstance(count, int):
        return max(first, end - max(0, count)), size
    return (min(max(0, offset), size) if isinstance(offset, int) else 0), size


def _within(given: object, size: int) -> Tuple[int, int]:
    if isinstance(given, list) and len(given) == 2 and all(isinstance(place, int) for place in given):
        return max(0, given[0]), max(0, min(given[1], size))
    return 0, size


def _line_start(path: str, end: int, lines: int, gaps: Gaps) -> int:
    """Where the last `lines` lines before `end` begin. A line still being written counts as one; a gap ends a line."""
    wanted = lines
    if lines == 0:
        return end
    if _read(path, end - 1, 1) == b"\n" if end else False:
        end -= 1
    while end > 0:
        gap = next((gap for gap in reversed(gaps) if gap[0] < end <= gap[1]), None)
        if gap is not None:
            end = gap[0]
            continue
        floor = max([gap[1] for gap in gaps if gap[1] < end] or [0])
        start = max(floor, end - _CHUNK)
        data = _read(path, start, end - start)
        at = len(data)
        while wanted and at >= 0:
            at = data.rfind(b"\n", 0, at)
            if at >= 0:
                wanted -= 1
                if wanted == 0:
                    return start + at + 1
        if start == floor and floor:
            wanted -= 1
            if wanted == 0:
                return floor
        end = start
    return 0


def _size(path: str) -> int:
    info = _look(path)
    return info.st_size if info else 0


def _look(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except OSError:
        return None


def _read(path: str, offset: int, length: int) -> bytes:
    """So much from there, less at the end; empty where nothing can be read."""
    # Without a file object, which takes three times as long.
    try:
        descriptor = regular_file(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = more = os.pread(descriptor, length, max(0, offset))
            while more and len(data) < length:
                more = os.pread(descriptor, length - len(data), max(0, offset) + len(data))
                data += more
            return data
        finally:
            os.close(descriptor)
    except OSError:
        return b""
