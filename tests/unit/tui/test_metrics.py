"""Metrics from bytes cut anywhere, and their curves in text."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from podops_tui.metrics_series import MetricsSeries
from podops_tui.plot import plot, sparkline


def series(*chunks: bytes) -> MetricsSeries:
    found = MetricsSeries()
    for chunk in chunks:
        found.feed(chunk)
    return found


def test_points_are_read_by_step_however_the_file_is_cut_and_whatever_else_stands_in_it() -> None:
    found = series(
        b'{"step": 1, "lo', b'ss": 2.5, "time": 9}\nrubbish\n[1]\n{"step": 2, "loss": "NaN"}\n{"step": 3, "loss": 1'
    )
    assert found.points == {"loss": [(1.0, 2.5)]}
    found.feed(b'.5, "lr": true}\n{"acc": 1e999}\n{"big": 1e300}\n')
    assert found.points == {"loss": [(1.0, 2.5), (3.0, 1.5)]}


def test_a_very_long_series_is_thinned_evenly_and_keeps_its_first_point() -> None:
    lines = [json.dumps({"step": step, "loss": step}) for step in range(100_000)]
    points = series(("\n".join(lines) + "\n").encode()).points["loss"]
    assert 4000 < len(points) <= 8192 and points[0] == (0.0, 0.0) and points[-1][0] > 99_900
    gaps = {after[0] - before[0] for before, after in pairwise(points)}
    assert len(gaps) == 1


def test_a_falling_curve_falls_on_the_screen() -> None:
    lines = plot([(step, 100 - step) for step in range(101)], 40, 10)
    columns = [min(column for column, cell in enumerate(line[10:]) if cell != " ") for line in lines[:-1]]
    assert len(lines) == 10 and columns == sorted(columns) and columns[0] == 0 and columns[-1] > 20
    assert lines[-1].strip().startswith("└0") and lines[-1].endswith("100")
    assert sparkline([3, 2, 1, 0], 4) == "█▆▃▁"


@example([(0.0, 0.0), (0.0, 5e-324)], 14, 3)
@given(
    st.lists(st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)), max_size=30),
    st.integers(0, 60),
    st.integers(0, 20),
)
def test_any_points_fit_their_room(points: list[tuple[float, float]], width: int, height: int) -> None:
    lines = plot(points, width, height)
    assert len(lines) <= max(0, height)
    assert len(sparkline([y for _, y in points], width)) <= width
