"""Where the thumb of a vertical scroll bar is, as Textual draws it but for parts of a row."""

from __future__ import annotations

import math


def thumb(rows: int, window: int, lines: int, top: float) -> tuple[int, int]:
    """First and last row of a bar of so many `rows`, where `window` of so many `lines` are seen from `top` on."""
    if not window or not rows or lines <= window:
        return 0, 0
    length = max(1.0, window * rows / lines)
    start = (rows - length) * top / (lines - window)
    return int(start), math.ceil(start + length)


def dragged_to(pointed_at: int, rows: int, asked: float, last: float) -> float:
    """The place, up to `last`, that a drag to the row `pointed_at` of a bar leads to; Textual asks for `asked`.

    A thumb that should be lower than a row has a shorter way to go than Textual reckons with, and who has taken
    one by a row of which it fills but a part would have to leave the bar to move it to its end.
    """
    if pointed_at >= rows - 1:
        return last
    return 0 if pointed_at <= 0 else min(last, max(0, asked))
