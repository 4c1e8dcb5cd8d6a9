"""Tables of commands on terminals of some width, and in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from typing import IO

import pytest
from rich.cells import cell_len

from podops.cli.output import table
from podops.cli.pod import _pod_table
from podops.cli.run_view import run_rows, run_text
from podops.fleet.snapshot import FleetSnapshot, HostSample, PodSnapshot, RunSnapshot

ID = "train-small-20260101-120000-ab"
DONE = RunSnapshot(
    ID, "h100-a", "succeeded", preset="train-small", reason="ok", elapsed_s=7300.0, step=1000, total_steps=1000
)
FAILED = replace(
    DONE,
    state="failed",
    reason="nonzero_exit",
    metrics={"loss": 3.2041},
    detail="exit code 1: torch.cuda.OutOfMemoryError: CUDA out of memory",
)
#: What stands in the column after the preset, in the header and in the rows of these two.
ENDS = ("STATE", DONE.state, FAILED.state)
PODS = {
    name: PodSnapshot(
        name,
        "live",
        "openssh",
        name,
        sample=HostSample(1.0, cpu_percent=12.0, memory_used_bytes=2**36, memory_total_bytes=2**41),
        unlisted=note,
    )
    for name, note in (("h100-a", ""), ("h100-b", "the outputs root /mnt/runs cannot be read: permission denied"))
}


def on_terminal(columns: int, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of `told` where standard output is a terminal of `columns`."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    size = os.get_terminal_size(far)
    stdout: IO[str]
    with os.fdopen(near), os.fdopen(far, "w") as stdout, monkeypatch.context() as patch:
        patch.setenv("NO_COLOR", "1")
        patch.setattr("sys.stdout", stdout)
        patch.setattr("os.get_terminal_size", lambda: size)
        return told().splitlines()


@pytest.mark.parametrize("columns", [50, 60, 80, 100])
@pytest.mark.parametrize("runs", [[DONE], [DONE, FAILED]])
def test_no_line_of_the_runs_is_longer_than_the_terminal(
    columns: int, runs: list[RunSnapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = on_terminal(columns, lambda: run_rows(runs), monkeypatch)
    assert len(lines) == len(runs) + 1 and max(map(len, lines)) <= columns, lines
    assert all(line.startswith(ID) for line in lines[1:]), lines


def test_what_no_row_has_goes_first_and_notes_are_cut_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    header = on_terminal(80, lambda: run_rows([DONE]), monkeypatch)[0]
    assert "NOTE" not in header and "LOSS" not in header and "STEP" in header
    header, _, failed = on_terminal(130, lambda: run_rows([DONE, FAILED]), monkeypatch)
    assert all(name in header for name in ("PRESET", "LOSS", "NOTE"))
    assert failed.endswith("…") and "nonzero_exit" in failed and "3.204" in failed


@pytest.mark.parametrize("columns", [50, 80])
def test_no_line_of_the_pods_is_longer_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_terminal(columns, lambda: _pod_table(FleetSnapshot(PODS)), monkeypatch)
    assert max(map(len, lines)) <= columns, lines
    assert "NOTE" in lines[0] and lines[2].startswith("h100-b  live") and lines[2].endswith("…")


def test_wide_characters_leave_columns_below_their_headers_and_lines_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = replace(FAILED, preset="訓練-モデル", detail="損失 🚀 が発散 ❤️ " * 9)
    for columns in (0, 60, 100, 130):
        lines = on_terminal(columns, lambda: run_rows([DONE, wide]), monkeypatch)
        assert all(cell_len(line) <= columns or not columns for line in lines), lines
        assert len({cell_len(line[: line.index(word)]) for line, word in zip(lines, ENDS, strict=True)}) == 1, lines


def test_a_run_id_is_cut_where_nothing_else_is_left_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("x" * 64, "succeeded", "a note")]
    assert (
        on_terminal(40, lambda: table(("RUN", "STATE", "NOTE"), rows), monkeypatch)[1]
        == "x" * 19 + "…xxxxxxxxx  succeeded"
    )


def test_on_80_columns_steps_and_losses_stand_before_presets_and_scraps_of_notes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header, *rows = on_terminal(80, lambda: run_rows([DONE, replace(FAILED, reason="oom_gpu")]), monkeypatch)
    assert header.split() == ["RUN", "POD", "STATE", "REASON", "STEP", "LOSS"]
    assert rows[1].split()[-3:] == ["oom_gpu", "1000/1000", "3.204"]


def test_the_epochs_of_a_run_have_a_column_where_any_tells_them_also_on_80_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = replace(DONE, state="running", reason=None, step=120, total_steps=500, total_is_part=True)
    epochs = replace(running, epoch=2, epochs=3, metrics={"loss": 2.31})
    for columns in (80, 0):
        lines = on_terminal(columns, lambda: run_rows([epochs, running]), monkeypatch)
        assert "  EPOCH  STEP     LOSS" in lines[0], lines
        assert "2/3    120/500  2.31" in lines[1] and "-      120/500  -" in lines[2], lines
    assert "EPOCH" not in on_terminal(0, lambda: run_rows([running, DONE]), monkeypatch)[0]
    for columns in (50, 60, 70):
        assert max(map(len, on_terminal(columns, lambda: run_rows([epochs, FAILED]), monkeypatch))) <= columns
    told = run_text(replace(epochs, left_s=190.0), [], [])
    assert "step       120/500 of epoch 2/3 · 41% · 3m10s left" in told
    assert "step       120/500\n" in run_text(running, [], []) and "1000/1000 · 100%" in run_text(DONE, [], [])


def test_one_long_run_id_takes_no_column_from_the_others_and_no_two_look_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = (replace(FAILED, run_id=f"sweep-{'x' * 20}-{seed}-{'y' * 12}-seed") for seed in (1, 2))
    header, done, first, second = on_terminal(80, lambda: run_rows([DONE, one, two]), monkeypatch)
    assert header.split() == ["RUN", "POD", "STATE", "REASON", "LOSS"]
    assert done.startswith(f"{ID}  ") and first.startswith("sweep-xxxx") and "-seed  h100-a" in first
    assert first.split()[0] != second.split()[0]


def test_a_terminal_that_does_not_tell_its_width_and_a_pipe_have_everything_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piped = run_rows([DONE, FAILED]).splitlines()
    assert piped == on_terminal(0, lambda: run_rows([DONE, FAILED]), monkeypatch)
    assert piped[0].split() == ["RUN", "POD", "PRESET", "STATE", "REASON", "ELAPSED", "STEP", "LOSS", "NOTE"]
    assert piped[2].endswith(FAILED.detail)


def test_the_note_of_a_pod_without_a_reason_begins_with_when_it_was_seen() -> None:
    seen = PodSnapshot("a100", "connecting", "ssh", "a100", last_seen=time.time())
    why = replace(seen, name="b100", state="unreachable", reason="no answer")
    header, *rows = _pod_table(FleetSnapshot({pod.name: pod for pod in (seen, why)})).splitlines()
    notes = [row[header.index("NOTE") :] for row in rows]
    assert notes[0].startswith("last seen ") and notes[1].startswith("no answer (last seen ")
