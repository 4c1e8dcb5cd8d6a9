"""Every metric of a run over its steps, from the bytes of `metrics.jsonl`."""

from __future__ import annotations

import json
import math

#: A series longer than this is thinned to half, points.
_MOST_POINTS = 8192

#: More names than this are not kept: a pod is not trusted, nor is a run that writes names without end.
_MOST_NAMES = 200

Point = tuple[float, float]


class MetricsSeries:
    """Points `(step, value)` by name, in the order they were written. What is not a number is passed over."""

    def __init__(self) -> None:
        self.points: dict[str, list[Point]] = {}
        self._rest = b""
        self._lines = 0
        self._strides: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the file."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._lines += 1
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                self._take(record)

    def _take(self, record: dict[str, object]) -> None:
        step = _number(record.get("step"))
        x = float(self._lines) if step is None else step
        for name, value in record.items():
            y = _number(value)
            if y is None or name in ("step", "time"):
                continue
            if name in self.points or len(self.points) < _MOST_NAMES:
                self._add(name, (x, y))

    def _add(self, name: str, point: Point) -> None:
        points = self.points.setdefault(name, [])
        seen = self._seen[name] = self._seen.get(name, -1) + 1
        if seen % self._strides.get(name, 1):
            return
        points.append(point)
        if len(points) > _MOST_POINTS:
            del points[1::2]
            self._strides[name] = 2 * self._strides.get(name, 1)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    # The difference of two numbers that can be drawn has to be one too.
    return number if math.isfinite(number) and abs(number) < 1e150 else None
