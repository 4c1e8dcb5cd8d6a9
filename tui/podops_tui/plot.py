"""Curves in text: braille dots for a plot, blocks for a sparkline."""

from __future__ import annotations

from collections.abc import Sequence

from podops_tui.metrics_series import Point

_BLOCKS = "▁▂▃▄▅▆▇█"

#: Braille dot bits of one cell by column and row from the top.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

#: Room for a number at the left edge, cells.
_MARGIN = 9


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` blocks, the last one for the last value."""
    if not values or width <= 0:
        return ""
    count = min(width, len(values))
    picked = [values[(index + 1) * len(values) // count - 1] for index in range(count)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[min(7, int((value - low) / span * 8))] for value in picked)


def plot(points: Sequence[Point], width: int, height: int) -> list[str]:
    """`height` lines of at most `width` cells: the curve, its highest and lowest value, its first and last step."""
    columns, rows = width - _MARGIN - 1, height - 1
    if not points or columns < 4 or rows < 2:
        return []
    xs, ys = [x for x, _ in points], [y for _, y in points]
    grid = _grid(points, columns, rows)
    labels = {0: f"{max(ys):.4g}", rows - 1: f"{min(ys):.4g}"}
    lines = []
    for row in range(rows):
        cells = "".join(chr(0x2800 + bits) if bits else " " for bits in grid[row])
        lines.append(f"{labels.get(row, ''):>{_MARGIN}}│{cells}")
    first, last = f"{min(xs):g}", f"{max(xs):g}"
    lines.append(" " * _MARGIN + "└" + first + "─" * max(1, columns - len(first) - len(last)) + last)
    return lines


def _grid(points: Sequence[Point], columns: int, rows: int) -> list[list[int]]:
    """Braille bits by row and column. Points of neighbouring columns are joined."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, low = min(xs), min(ys)
    wide, high = (max(xs) - left) or 1.0, (max(ys) - low) or 1.0
    grid = [[0] * columns for _ in range(rows)]
    before: tuple[int, int] | None = None
    for x, y in points:
        # Divided first: the inverse of a very small range is no number any more.
        at = (round((x - left) / wide * (2 * columns - 1)), round((y - low) / high * (4 * rows - 1)))
        for column, level in _joined(before, at):
            row = 4 * rows - 1 - level
            grid[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
        before = at
    return grid


def _joined(before: tuple[int, int] | None, at: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots from one point to the next. A step back in x (a run that went on from a checkpoint) is not joined."""
    if before is None or at[0] < before[0]:
        return [at]
    wide, high = at[0] - before[0], at[1] - before[1]
    count = max(wide, abs(high), 1)
    return [(before[0] + wide * i // count, before[1] + round(high * i / count)) for i in range(1, count + 1)]
