"""Metrics from bytes cut anywhere, and their curves in text."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from podops_tui.metrics_series import MetricsSeries
from podops_tui.plot import plot, sparkline
from podops_tui.widgets.metrics_pane import MetricsTable


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


def test_a_value_that_is_no_number_is_the_last_one_and_is_not_drawn() -> None:
    found = series(b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": "nan", "acc": "inf"}\n{"step": 3, "loss": "oops"}\n')
    table = MetricsTable(id="metric-list")
    rows = [table.line_of((name, found.last[name], found.points.get(name, [])), 60).plain for name in ("loss", "acc")]
    assert [row.split()[:4] for row in rows] == [["loss", "nan", "2.5", "2.5"], ["acc", "inf", "–", "–"]]


def places(*records: dict[str, float]) -> tuple[list[float], str]:
    found = series(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    return [x for x, _ in found.points["loss"]], found.axis("loss")


def test_steps_that_begin_again_with_every_epoch_go_on_where_the_epoch_before_ended() -> None:
    epochs = [{"epoch": epoch, "step": step, "loss": 1.0} for epoch in (1, 2, 3) for step in (10, 100, 200)]
    assert places(*epochs) == ([10, 100, 200, 210, 300, 400, 410, 500, 600], "step, counted on from epoch to epoch")
    untold = [{"step": record["step"], "loss": 1.0} for record in epochs]
    assert places(*untold) == (places(*epochs)[0], "step, counted on where it begins again")
    through = [{"epoch": step // 100, "step": step, "loss": 1.0} for step in (50, 150, 250)]
    assert places(*through) == ([50, 150, 250], "step")
    assert places({"loss": 1.0}, {"epoch": 1, "loss": 1.0}) == ([1, 2], "record")


def test_a_run_that_goes_on_from_a_checkpoint_is_drawn_over_the_steps_it_makes_again() -> None:
    assert places(*({"step": step, "loss": 1.0} for step in (10, 500, 650, 510))) == ([10, 500, 650, 510], "step")
    again = [(1, 10), (1, 200), (2, 10), (2, 150), (1, 190), (2, 10)]
    assert places(*({"epoch": epoch, "step": step, "loss": 1.0} for epoch, step in again))[0] == [
        10, 200, 210, 350, 190, 210,
    ]  # fmt: skip


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
