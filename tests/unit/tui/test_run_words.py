"""What is said of a run in a few words, whatever its pod says."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from podops.cli.run_view import run_rows, run_text
from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops_tui.format import remaining
from podops_tui.run_words import retry, waits_for, why
from podops_tui.widgets.heartbeat_pane import heartbeat
from podops_tui.widgets.runs_table import RunsTable

QUEUED = RunSnapshot("r", "p", "queued", place=2, priority=-3)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "Etc/GMT-1")
    time.tzset()
    yield
    monkeypatch.setenv("TZ", before) if before is not None else monkeypatch.delenv("TZ")
    time.tzset()


def test_a_time_of_the_pod_is_told_as_the_clock_here_shows_it() -> None:
    told = waits_for(replace(QUEUED, detail="not before 2020-12-31 23:30:00Z"))
    assert told == "#2 not before 01-01 00:30 · priority -3"
    run = replace(QUEUED, detail="not before 2020-12-31 23:30:00Z")
    assert "not before 01-01 00:30" in heartbeat(run, run.received_at).plain
    assert "why        not before 01-01 00:30\n" in run_text(run, (), []) and "01-01 00:30" in run_rows([run])
    today = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(time.mktime((*time.localtime()[:3], 12, 30, 0, 0, 0, -1))))
    assert run.not_started.endswith("not before 01-01 00:30")
    assert replace(run, detail=f"not before {today}").not_started.endswith("not before 12:30")


@pytest.mark.parametrize("moment", ["2026-02-31 10:00:00Z", "0000-01-01 00:00:00Z", "9999-12-31 23:59:59Z"])
def test_a_time_that_no_calendar_has_is_told_as_it_came(moment: str) -> None:
    assert moment in waits_for(replace(QUEUED, detail=f"not before {moment}"))


def test_the_step_of_a_run_stands_once_in_its_heartbeat() -> None:
    line = "2026-11-21T18:19:05Z running pid=7 step=40 total=400 phase=ready"
    run = RunSnapshot("r", "p", "running", heartbeat_line=line, step=40, total_steps=400, metrics={"step": 40})
    shown = heartbeat(run, run.received_at).plain
    assert shown.count("step") == 1 and "step 40/400" in shown
    assert "pid=7 phase=ready" in shown


def test_the_time_left_counts_down_and_is_not_told_of_a_run_whose_steps_are_those_of_a_part() -> None:
    table, now = RunsTable(id="runs", number=2), time.monotonic()
    run = RunSnapshot("r", "p", "running", step=133, total_steps=266, left_s=90.5, received_at=now - 30)
    epoch = replace(run, total_is_part=True, left_s=None, elapsed_s=999.0, metrics={"loss": 0.22})
    assert remaining(run, now) == 60.5 and "50%  1m00s" in table.line_of(run, 78).plain
    for known in (replace(run, state="lost"), replace(run, state="failed"), replace(run, left_s=None)):
        assert remaining(known, now) is None
    assert "133/266 0.22" in table.line_of(epoch, 78).plain and "%" not in table.line_of(epoch, 78).plain


def test_a_retry_counts_down_from_when_it_was_told() -> None:
    run = RunSnapshot("r", "p", "starting", phase="retrying", retry_in_s=40.0, attempts_max=3, last_failure="nccl")
    assert retry(run, run.received_at + 15) == "attempt 2/3 in 25s after nccl"
    assert retry(run, run.received_at + 100) == "attempt 2/3 in 0s after nccl"


def test_what_went_wrong_is_told_with_its_evidence_only_where_there_is_room() -> None:
    run = RunSnapshot("r", "p", "failed", reason="oom_gpu", detail="CUDA out of memory")
    assert (why(run, 0.0), why(run, 0.0, full=True)) == ("oom_gpu", "oom_gpu: CUDA out of memory")
    assert why(RunSnapshot("r", "p", "succeeded", reason="ok"), 0.0) == ""


def test_on_a_narrow_screen_a_run_that_tells_no_total_shows_the_step_it_has_come_to() -> None:
    table = RunsTable(id="runs", number=2)
    run = RunSnapshot("r", "p", "running", step=133, metrics={"loss": 0.22})
    header, counted, known = (
        table.line_of(item, 78).plain for item in (None, run, replace(run, total_steps=266, left_s=60.0))
    )
    assert "step 133 0.22" in counted and " 50% " in known
    assert header.index("LOSS") == counted.index("0.22") == known.index("0.22")


@pytest.mark.parametrize("run_id", ["20261121-021709-hc_small-3f9a", "20261121-021709-pretraining-long-3f9a"])
def test_a_run_id_that_stands_whole_on_a_screen_stands_whole_on_a_wider_one(run_id: str) -> None:
    table = RunsTable(id="runs", number=2)
    run = RunSnapshot(run_id, "p", "failed", reason="oom_gpu", preset="hc_small")
    table._longest = len(run_id)
    first = next(width for width in range(78, 200) if run_id in table.line_of(run, width).plain)
    assert first < 90
    for width in range(first, 200):
        row, header = table.line_of(run, width).plain, table.line_of(None, width).plain
        assert run_id in row and "oom_gpu" in row[:width], width
        assert ("PRESET" in header) == ("hc_small " in row), width


ENDED = RunSnapshot("r" * 30, "p", "succeeded", reason="ok", step=9, total_steps=9, metrics={"loss": 0.52341})


def test_on_80_columns_a_run_that_is_over_tells_its_last_loss_and_one_that_failed_its_reason_too() -> None:
    table = RunsTable(id="runs", number=2)
    table._longest = 30
    assert table.line_of(ENDED, 78).plain.endswith(" 100%        0.523")
    failed = replace(ENDED, state="failed", reason="nonzero_exit")
    assert table.line_of(failed, 78).plain.endswith(" nonzero_exit 0.52")
    assert table.line_of(replace(failed, reason="oom_gpu"), 78).plain.endswith(" oom_gpu     0.523")
    assert table.line_of(replace(failed, reason="checkpoint_corrupt"), 78).plain.endswith(" checkpoint_corrupt")
    assert table.line_of(replace(ENDED, step=None, total_steps=None, metrics={}), 78).plain.endswith(" – ")


def test_on_80_columns_what_an_old_run_told_last_stands_beside_how_old_it_is() -> None:
    table = RunsTable(id="runs", number=2)
    table.show_runs([], {"p": PodSnapshot("p", "stale", "ssh", "p", last_seen=time.time() - 725)})
    table._longest = 30
    assert table.line_of(replace(ENDED, state="running"), 78).plain.endswith(" 12m05s ago  0.523")
