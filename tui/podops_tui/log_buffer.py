"""Lines of a log, from bytes in whatever pieces they come."""

from __future__ import annotations

import codecs
from bisect import bisect_right
from collections import deque

from podops.fleet.snapshot import AttemptBegin, LogPiece
from podops_tui.ansi import clean
from podops_tui.format import size
from podops_tui.sgr import sgr_after


class LogBuffer:
    """The last `max_lines` lines, each at most `max_chars` characters; a carriage return starts its line over.

    A line that starts in a colour an earlier one set carries that colour in front of it.
    """

    def __init__(self, max_lines: int = 5000, max_chars: int = 4096) -> None:
        self._lines: deque[str] = deque()
        # The byte of the log at which each of them begins.
        self._starts: deque[int] = deque()
        self._max_lines = max_lines
        self._max_chars = max_chars
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._current = ""
        self._current_start = 0
        self._next = 0
        self._cut = False
        # A return folds only once something other than a newline follows, maybe in the next chunk.
        self._returned = False
        # The colours in effect where the current line began.
        self._colours = ""
        # Lines that fell off the start, less those that were put there.
        self._fallen = 0
        #: Bytes passed over, in all.
        self.skipped_bytes = 0
        #: While true, nothing falls off the start.
        self.held = False
        #: So many bytes of the log follow that are not here, though the log has them.
        self.missing_after = 0

    @property
    def full(self) -> bool:
        """Whether there are as many lines as are kept."""
        return len(self._lines) >= self._max_lines

    @property
    def begin(self) -> int:
        """The byte of the log at which the first line begins."""
        return self._starts[0] if self._starts else self._current_start

    @property
    def first(self) -> int:
        """The number of the first of `lines`: each keeps its own, whatever falls off or is put before it."""
        return self._fallen - (1 if self.begin else 0)

    @property
    def end(self) -> int:
        """The byte of the log behind the last one that was fed."""
        return self._next

    def index_of(self, offset: int) -> int | None:
        """Which of `lines` holds the byte `offset` of the log; `None` when it is not here."""
        if not self.begin <= offset < self._next:
            return None
        note = 1 if self.begin else 0
        if self._current and offset >= self._current_start:
            return note + len(self._lines)
        return note + bisect_right(self._starts, offset) - 1

    def start_at(self, offset: int) -> None:
        """The first bytes to come are those at `offset` of the log."""
        self._next = self._current_start = offset

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the log."""
        *ended, rest = self._decoder.decode(data).split("\n")
        for text, raw in zip(ended, data.split(b"\n"), strict=False):
            if text:
                self._add(text)
            self._next += len(raw) + 1
            self._end_line()
        if rest:
            self._add(rest)
        self._next += len(data) - (data.rfind(b"\n") + 1)

    def skipped(self, count: int) -> None:
        """Note that `count` bytes before the next ones were passed over."""
        self._break_off()
        self.skipped_bytes += count
        self._next += count
        self._current_start = self._next
        self._push(_note(f"⋯ {size(count)} skipped: the log grows faster than it can be shown ⋯"))

    def freed(self, count: int) -> None:
        """Note that `count` bytes before the next ones are gone for good."""
        self._break_off()
        self._push(_note(f"⋯ {size(count)} freed here by max_log_size ⋯"))
        self._next += count
        self._current_start = self._next

    def remark(self, text: str) -> None:
        """Say something about the lines that follow."""
        self._push(_note(f"⋯ {text} ⋯"))

    def begins(self, attempt: AttemptBegin) -> None:
        """Note that an attempt begins with the next bytes."""
        self._break_off()
        self._current_start = self._next
        after = f", after {clean(attempt.after)}" if attempt.after else ""
        self._push(_note(f"── attempt {attempt.number}{after} ──"))

    def put_before(self, piece: LogPiece) -> int:
        """Put what comes before `begin` there; how many more `lines` that makes."""
        earlier = LogBuffer(len(piece.data) + len(piece.begins) + 2, self._max_chars)
        earlier.start_at(piece.offset)
        earlier._feed_piece(piece)
        earlier._break_off()
        if piece.gap:
            earlier.freed(piece.gap)
        return self.join(earlier)

    def put_after(self, piece: LogPiece) -> None:
        """Add the piece that comes next; its `gap` lies before it."""
        if piece.gap:
            self.freed(piece.gap)
        self._feed_piece(piece)

    def join(self, earlier: LogBuffer) -> int:
        """Put the lines of a buffer that ends where this one begins before these; how many more `lines` that makes."""
        earlier._break_off()
        before = len(self._lines) + bool(self.begin)
        self._lines.extendleft(reversed(earlier._lines))
        self._starts.extendleft(reversed(earlier._starts))
        self._fallen -= len(earlier._lines)
        return len(self._lines) + bool(self.begin) - before

    def lines(self) -> list[str]:
        """Every line, the unfinished one last; around them, where the log goes on, our word that it does."""
        lines = [_note(f"⋯ {size(self.begin)} before this: going up from here reads them ⋯")] if self.begin else []
        lines += self._lines
        if self._current:
            lines.append(self._shown())
        if self.missing_after:
            lines.append(
                _note(f"⋯ {size(self.missing_after)} after this: going down from here reads them, f follows ⋯")
            )
        return lines

    def _feed_piece(self, piece: LogPiece) -> None:
        at, end = piece.offset, piece.offset + len(piece.data)
        for begin in piece.begins:
            if begin.offset >= at:
                stop = min(begin.offset, end)
                self.feed(piece.data[at - piece.offset : stop - piece.offset])
                self.begins(begin)
                at = stop
        self.feed(piece.data[at - piece.offset :])

    def _break_off(self) -> None:
        """What comes next does not go on where the last bytes ended."""
        self._decoder.reset()
        if self._current:
            self._end_line()
        self._colours = ""

    def _add(self, text: str) -> None:
        if "\r" not in text and not self._returned:
            self._write(text)
            return
        for number, piece in enumerate(text.split("\r")):
            if number:
                self._returned = True
            if piece:
                self._write(piece)

    def _write(self, text: str) -> None:
        if self._returned:
            self._colours = sgr_after(self._colours, self._current)
            self._current, self._cut, self._returned = "", False, False
        room = self._max_chars - len(self._current)
        self._cut = self._cut or len(text) > room
        self._current += text[: max(0, room)]

    def _shown(self) -> str:
        line = self._current + "…" if self._cut else self._current
        return f"\x1b[{self._colours}m{line}" if self._colours else line

    def _end_line(self) -> None:
        self._push(self._shown())
        self._colours = sgr_after(self._colours, self._current)
        self._current, self._cut, self._returned = "", False, False
        self._current_start = self._next

    def _push(self, line: str) -> None:
        self._lines.append(line)
        self._starts.append(self._current_start)
        while len(self._lines) > self._max_lines and not self.held:
            self._lines.popleft()
            self._starts.popleft()
            self._fallen += 1


def _note(text: str) -> str:
    """A line of ours, set apart from those of the log."""
    return f"\x1b[2;3m{text}"
