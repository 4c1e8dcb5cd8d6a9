"""Times as they are typed after `--at`."""

from __future__ import annotations

from datetime import datetime

import pytest

from podops.start_time import parse_moment

NOW = datetime(2026, 11, 21, 22, 0)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("22:30", datetime(2026, 11, 21, 22, 30)),
        ("6:00", datetime(2026, 11, 22, 6, 0)),
        ("22:00", datetime(2026, 11, 22, 22, 0)),
        ("2026-12-01 08:15", datetime(2026, 12, 1, 8, 15)),
        ("2026-12-01T08:15:30", datetime(2026, 12, 1, 8, 15, 30)),
        ("2026-12-01T08:15:00Z", datetime.fromisoformat("2026-12-01T08:15:00+00:00")),
        ("2026-12-01 08:15:00+05:30", datetime.fromisoformat("2026-12-01T02:45:00+00:00")),
    ],
)
def test_a_time_of_day_is_the_next_one_and_a_date_is_that_date(typed: str, meant: datetime) -> None:
    assert parse_moment(typed, NOW) == meant.timestamp()


@pytest.mark.parametrize("typed", ["", "25:00", "tomorrow", "22", "2026-13-01 08:00", "2026-12-01 08:15 PM"])
def test_what_is_no_time_is_none(typed: str) -> None:
    assert parse_moment(typed, NOW) is None
