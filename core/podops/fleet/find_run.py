"""Which runs a few letters name."""

from __future__ import annotations

from collections.abc import Iterable

from podops.fleet.snapshot import RunSnapshot


def named(runs: Iterable[RunSnapshot], text: str) -> list[RunSnapshot]:
    """The run whose id is `text`, else those whose id begins with it."""
    found = [run for run in runs if run.run_id.startswith(text)]
    return [run for run in found if run.run_id == text] or found
