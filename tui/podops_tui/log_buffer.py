"""The last lines of a log, from bytes in whatever pieces they come."""

from __future__ import annotations

import codecs
import re
from collections import deque

from podops_tui.format import size

_BREAKS = re.compile(r"([\r\n])")


class LogBuffer:
    """At most `max_lines` lines of at most `max_chars` characters; a carriage return starts its line over."""

    def __init__(self, max_lines: int = 5000, max_chars: int = 4096) -> None:
        self._lines: deque[str] = deque(maxlen=max_lines)
        self._max_chars = max_chars
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._current = ""
        self._cut = False
        # A return folds only once something other than a newline follows, maybe in the next chunk.
        self._returned = False
        #: Lines that fell off the start.
        self.dropped = 0

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the log."""
        for piece in _BREAKS.split(self._decoder.decode(data)):
            if piece == "\n":
                self._end_line()
            elif piece == "\r":
                self._returned = True
            elif piece:
                self._add(piece)

    def skipped(self, count: int) -> None:
        """Note that `count` bytes before the next ones were passed over."""
        self._decoder.reset()
        if self._current:
            self._end_line()
        self._push(f"⋯ {size(count)} skipped ⋯")

    def lines(self) -> list[str]:
        """Every line, the unfinished one last."""
        return [*self._lines, self._shown()] if self._current else list(self._lines)

    def _add(self, text: str) -> None:
        if self._returned:
            self._current, self._cut, self._returned = "", False, False
        room = self._max_chars - len(self._current)
        self._cut = self._cut or len(text) > room
        self._current += text[: max(0, room)]

    def _shown(self) -> str:
        return self._current + "…" if self._cut else self._current

    def _end_line(self) -> None:
        self._push(self._shown())
        self._current, self._cut, self._returned = "", False, False

    def _push(self, line: str) -> None:
        if len(self._lines) == self._lines.maxlen:
            self.dropped += 1
        self._lines.append(line)
