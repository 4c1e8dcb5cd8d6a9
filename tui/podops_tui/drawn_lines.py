"""Lines of a log as rows of the screen, cut or wrapped; each is drawn once for as long as it looks the same."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import NamedTuple

from rich.console import Console
from rich.style import Style
from rich.text import Text
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Size
from textual.strip import Strip

from podops_tui.ansi import parse_line

#: So many rows are kept as they were drawn.
_KEPT = 1000


class Look(NamedTuple):
    """How every line is drawn."""

    base: Style
    background: Color
    filters: tuple[LineFilter, ...]


class Sight(NamedTuple):
    """What is in view: the first column and row of the log, and so many columns."""

    left: int
    top: int
    width: int


class DrawnLines:
    """Rows are counted from the first line's; a line that is cut has one, a wrapped one as many as it needs."""

    def __init__(self) -> None:
        self.look = Look(Style.null(), Color(0, 0, 0), ())
        #: Cells of the longest line that was drawn: measuring them all would cost more than drawing.
        self.widest = 0
        self._lines: list[str] = []
        #: At how many cells lines are wrapped; `None` while they are cut.
        self.wrap_at: int | None = None
        # Where the rows of each line end; nothing while lines are cut.
        self._ends: list[int] | None = None
        self._strips: dict[object, Strip] = {}
        self._drawn_as: object = None

    @property
    def wrapped(self) -> bool:
        return self._ends is not None

    def take(self, lines: list[str], wrap_at: int | None) -> Size:
        """These lines from now on, wrapped at so many cells or cut; what they take, as far as it is known."""
        self._lines, self.wrap_at = lines, wrap_at
        if wrap_at is None:
            self._ends = None
            return Size(self.widest, len(lines))
        rows = (max(1, -(-parse_line(line).cell_len // wrap_at)) for line in lines)
        self._ends = ends = list(accumulate(rows))
        return Size(0, ends[-1] if ends else 0)

    def forget(self) -> None:
        """What follows is another log."""
        self.widest = 0
        self._strips.clear()

    def row_of(self, index: int) -> int:
        """The first row of a line."""
        return index if self._ends is None else self._ends[index - 1] if index else 0

    def line_at(self, row: int) -> int:
        """The line that a row belongs to."""
        return row if self._ends is None else bisect_right(self._ends, row)

    def draw(
        self, rows: Iterable[int], sight: Sight, console: Console, marked: Callable[[int], Text] | None
    ) -> list[Strip]:
        """The strips of rows of the log. `marked` gives lines by their numbers where something in them is marked."""
        drawn_as = (self.look, sight.left, sight.width, self.wrapped)
        if drawn_as != self._drawn_as or len(self._strips) > _KEPT:
            self._strips, self._drawn_as = {}, drawn_as
        return [self._row(row, sight, console, marked) for row in rows]

    def _row(self, row: int, sight: Sight, console: Console, marked: Callable[[int], Text] | None) -> Strip:
        index = self.line_at(row)
        left = sight.left if self._ends is None else (row - self.row_of(index)) * sight.width
        below = index >= len(self._lines)
        if marked is not None and not below:
            return self.strip(marked(index), left, sight.width, console)
        # It looks as it did when it was drawn last, further down.
        line = "" if below else self._lines[index]
        key = line if self._ends is None else (line, left)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self.strip(parse_line(line), left, sight.width, console)
        return strip

    def strip(self, text: Text, left: int, width: int, console: Console) -> Strip:
        """A part of a text, in so many cells."""
        if self._ends is None:
            self.widest = max(self.widest, text.cell_len)
        base, background, filters = self.look
        strip = Strip(text.render(console)).crop(left, left + width).apply_style(base).adjust_cell_length(width, base)
        for each in filters:
            strip = strip.apply_filter(each, background)
        return strip
