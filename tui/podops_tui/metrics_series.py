"""Every metric of a run over its steps, from the bytes of `metrics.jsonl`."""

from __future__ import annotations

import json

from podops.fleet import wire
from podops_runners.metric_value import value_of
from podops_tui.step_axis import StepAxis

#: A series longer than this is thinned to half, points.
_MOST_POINTS = 8192

#: More names than this are not kept: a pod is not trusted, nor is a run that writes names without end.
_MOST_NAMES = 200

Point = tuple[float, float]


class MetricsSeries:
    """Points `(x, value)` by name, in the order they were written. What is not a number is passed over."""

    def __init__(self) -> None:
        self.points: dict[str, list[Point]] = {}
        #: The last value of each metric, also one that cannot be drawn: NaN, say.
        self.last: dict[str, float] = {}
        self._rest = b""
        self._lines = 0
        self._steps = StepAxis()
        self._by_step: set[str] = set()
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

    def axis(self, name: str) -> str:
        """What the x of a metric is, in words."""
        return self._steps.words if name in self._by_step else "record"

    def _take(self, record: dict[str, object]) -> None:
        step = _number(record.get("step"))
        x = self._steps.x if step is None else self._steps.place(step, _number(record.get("epoch")))
        for name, value in record.items():
            told, y = value_of(value), _number(value)
            if told is None or name in ("step", "time") or (name not in self.last and len(self.last) >= _MOST_NAMES):
                continue
            self.last[name] = told
            if y is not None:
                self._add(name, (float(self._lines) if x is None else x, y))
                if x is not None:
                    self._by_step.add(name)

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
    number = wire.number(value)
    # The difference of two numbers that can be drawn has to be one too.
    return number if number is not None and abs(number) < 1e150 else None
