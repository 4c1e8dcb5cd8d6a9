"""Records: whole for every reader, whatever becomes of their writers."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

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


def test_of_lines_for_which_there_is_no_room_the_first_are_kept_whole(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    records.append_lines(str(file), [{"step": 0}])
    room, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, most))
    try:
        with pytest.raises(OSError, match=r"No space left"):
            records.append_lines(str(file), [{"step": step} for step in range(1, 10)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    records.append_lines(str(file), [{"step": "next"}])
    steps = [json.loads(line)["step"] for line in file.read_text().splitlines()]
    assert steps == [0, 1, 2, "next"]
