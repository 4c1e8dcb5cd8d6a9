"""Tables of commands on terminals of some width, and in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable
from dataclasses import replace
from typing import IO

import pytest

from podops.cli.output import table
from podops.cli.pod import _pod_table
from podops.cli.run_view import run_rows
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


def test_a_run_id_is_cut_where_nothing_else_is_left_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("x" * 64, "succeeded", "a note")]
    assert on_terminal(40, lambda: table(("RUN", "STATE", "NOTE"), rows), monkeypatch)[1] == "x" * 28 + "…  succeeded"


def test_a_terminal_that_does_not_tell_its_width_and_a_pipe_have_everything_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piped = run_rows([DONE, FAILED]).splitlines()
    assert piped == on_terminal(0, lambda: run_rows([DONE, FAILED]), monkeypatch)
    assert piped[0].split() == ["RUN", "POD", "PRESET", "STATE", "REASON", "ELAPSED", "STEP", "LOSS", "NOTE"]
    assert piped[2].endswith(FAILED.detail)
