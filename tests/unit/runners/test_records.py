"""Records: whole for every reader, whatever becomes of their writers."""

from __future__ import annotations

import os
from pathlib import Path

from podops_runners import records


def test_what_killed_writers_left_is_swept_away_and_nothing_that_is_still_written(tmp_path: Path) -> None:
    left, written = tmp_path / ".tmp-left", tmp_path / ".tmp-written"
    for file in (left, written):
        file.write_text("{")
    records.write_record(str(tmp_path / "kept.json"), {"a": 1})
    for file in (left, tmp_path / "kept.json"):
        moment = file.stat().st_mtime - 7200
        os.utime(file, (moment, moment))
    records.sweep(str(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == {".tmp-written", "kept.json"}
    records.sweep(str(tmp_path / "missing"))
