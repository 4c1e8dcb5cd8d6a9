"""The last lines of a log, from bytes in whatever pieces they come."""

from __future__ import annotations

import codecs
from collections import deque

from podops_tui.format import size
from podops_tui.sgr import sgr_after


class LogBuffer:
    """At most `max_lines` lines of at most `max_chars` characters; a carriage return starts its line over.

    A line that starts in a colour an earlier one set carries that colour in front of it.
    """

    def __init__(self, max_lines: int = 5000, max_chars: int = 4096) -> None:
        self._lines: deque[str] = deque(maxlen=max_lines)
        self._max_lines = max_lines
        self._max_chars = max_chars
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._current = ""
        self._cut = False
        # A return folds only once something other than a newline follows, maybe in the next chunk.
        self._returned = False
        # The colours in effect where the current line began.
        self._colours = ""
        #: Lines that fell off the start.
        self.dropped = 0
        #: Bytes passed over, in all.
        self.skipped_bytes = 0

    @property
    def full(self) -> bool:
        """Whether the next line pushes out the first."""
        return len(self._lines) >= self._max_lines

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the log."""
        *ended, rest = self._decoder.decode(data).split("\n")
        for text in ended:
            if text:
                self._add(text)
            self._end_line()
        if rest:
            self._add(rest)

    def skipped(self, count: int) -> None:
        """Note that `count` bytes before the next ones were passed over."""
        self._decoder.reset()
        if self._current:
            self._end_line()
        self._colours = ""
        self.skipped_bytes += count
        self.note(f"⋯ {size(count)} skipped: the log grows faster than it can be shown ⋯")

    def note(self, text: str) -> None:
        """Add a line of ours, set apart from those of the log."""
        self._push(f"\x1b[2;3m{text}")

    def lines(self) -> list[str]:
        """Every line, the unfinished one last."""
        return [*self._lines, self._shown()] if self._current else list(self._lines)

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

    def _push(self, line: str) -> None:
        if len(self._lines) == self._max_lines:
            self.dropped += 1
        self._lines.append(line)
