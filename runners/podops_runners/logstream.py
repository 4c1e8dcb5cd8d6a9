"""Following one file for one subscriber: from a place in it, as it grows, within a window."""

import os
import threading
from typing import Callable, Dict, Optional

from podops_runners.inotify import FileWatch
from podops_runners.records import regular_file

_CHUNK = 128 * 1024

#: A subscriber further behind than so many windows is taken forward, unless it wants every byte.
_BEHIND_WINDOWS = 4

Push = Callable[[Dict[str, object], bytes], None]


class LogFollower:
    """A thread that pushes a file's bytes until `stop`, or until the run has ended and all is sent."""

    def __init__(
        self,
        sub: int,
        path: str,
        offset: int,
        window: int,
        lossless: bool,
        push: Push,
        ended: Callable[[], bool],
    ) -> None:
        self._sub = sub
        self._path = path
        self._offset = offset
        self._window = max(4096, window)
        self._lossless = lossless
        self._push = push
        self._ended = ended
        self._acked = offset
        self._skipped = 0
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
        watch: Optional[FileWatch] = None
        try:
            while not self._stopped:
                if watch is None and os.path.exists(self._path):
                    watch = FileWatch(self._path)
                # Asked before reading: what was written before the end is then surely read.
                over = self._ended()
                if self._send_available():
                    continue
                if over:
                    self._emit(b"", eof=True)
                    return
                (watch or _NO_WATCH).wait(1.0)
        finally:
            if watch is not None:
                watch.close()

    def _send_available(self) -> bool:
        """Send the next piece, if there is one and room for it; whether to come back at once."""
        size = _size(self._path)
        if size < self._offset:
            self._offset = self._acked = 0  # the file was cut off: what stands there now is new
        if size == self._offset:
            return False
        with self._room:
            if self._offset - self._acked >= self._window:
                self._room.wait(0.5)
                return True
        if not self._lossless and size - self._offset > _BEHIND_WINDOWS * self._window:
            self._skip_to(size - self._window)
        data = _read(self._path, self._offset, min(_CHUNK, self._window))
        if data:
            self._emit(data)
        return bool(data)

    def _skip_to(self, target: int) -> None:
        """Go forward to the first line start at or after `target`."""
        data = _read(self._path, target, _CHUNK)
        newline = data.find(b"\n")
        target += newline + 1 if newline >= 0 else 0
        self._skipped += target - self._offset
        self._offset = target
        self._acked = max(self._acked, target)

    def _emit(self, data: bytes, eof: bool = False) -> None:
        header = {
            "push": "log",
            "sub": self._sub,
            "offset": self._offset,
            "skipped": self._skipped,
            "eof": eof,
        }
        self._offset += len(data)
        self._skipped = 0
        self._push(header, data)


class _NoWatch:
    def wait(self, timeout_s: float) -> None:
        threading.Event().wait(min(timeout_s, 0.1))


_NO_WATCH = _NoWatch()


def start_offset(path: str, place: Dict[str, object]) -> "tuple[int, int]":
    """`(offset, size)` for `{"offset": n}`, `{"tail_bytes": n}` or `{"tail_lines": n}`; the start when nothing fits."""
    size = _size(path)
    lines, count, offset = place.get("tail_lines"), place.get("tail_bytes"), place.get("offset")
    if isinstance(lines, int):
        return _line_start(path, size, max(0, lines)), size
    if isinstance(count, int):
        return max(0, size - max(0, count)), size
    return (min(max(0, offset), size) if isinstance(offset, int) else 0), size


def _line_start(path: str, size: int, lines: int) -> int:
    """Where the last `lines` lines begin. A line still being written counts as one."""
    end, wanted = size, lines
    if lines == 0:
        return size
    if _read(path, size - 1, 1) == b"\n" if size else False:
        end -= 1
    while end > 0:
        start = max(0, end - _CHUNK)
        data = _read(path, start, end - start)
        at = len(data)
        while wanted and at >= 0:
            at = data.rfind(b"\n", 0, at)
            if at >= 0:
                wanted -= 1
                if wanted == 0:
                    return start + at + 1
        end = start
    return 0


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _read(path: str, offset: int, length: int) -> bytes:
    try:
        with open(path, "rb", opener=regular_file) as stream:
            stream.seek(max(0, offset))
            return stream.read(length)
    except OSError:
        return b""
