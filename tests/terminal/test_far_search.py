"""Searching a log in the app that is far too big to be loaded: its pod looks, and what is around a match is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pods.conftest import MakeProject
from tests.pods.fleet_config import end_by_hand, hand_made_run
from tests.terminal.terminal import Terminal

ROWS = 1_000_000
SIGHTS = {
    200_000: "Loss NaN one",
    200_010: "loss nan two",
    700_000: "loss \x1b[31mnan\x1b[0m three",
    999_990: "loss nan end",
}


@pytest.fixture
def log(project: MakeProject) -> Path:
    """40 MB, with matches at four places."""
    made = project("here", presets={"say": {"kind": "command", "command": "echo"}})
    log = hand_made_run(made.local_outputs_dir, "big")
    with log.open("w") as stream:
        for number in range(ROWS):
            stream.write(f"row {number} {SIGHTS.get(number, 'of a log that is long')}\n")
    end_by_hand(log)
    return made.file


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 60)])
def test_next_and_previous_go_through_the_whole_log(
    terminal: Terminal, log: Path, client_home: Path, columns: int, rows: int
) -> None:
    terminal.start_ops(columns, rows, log, client_home)
    terminal.wait_for(r"row 999999 of a log")
    terminal.press("Enter")
    terminal.wait_for(r"7 Run")
    terminal.press("/")
    terminal.wait_for("search the log")
    terminal.type("loss nan")
    terminal.press("Enter")
    terminal.wait_for(r"row 999990 loss nan end")
    terminal.wait_for(r"/loss nan · 4 lines \(n N\)")
    terminal.press("N")
    terminal.wait_for(r"row 700000 loss nan three")
    terminal.press("N")
    terminal.wait_for(r"row 200010 loss nan two")
    terminal.press("N", "N")
    terminal.wait_for(r"no match further up")
    terminal.press("n", "n")
    terminal.wait_for(r"row 700000 loss nan three")
    terminal.press("n")
    terminal.wait_for(r"row 999990 loss nan end")
    terminal.press("n")
    terminal.wait_for(r"no match further down")
    terminal.press("Escape")
    terminal.wait_for(r"held still \(f follows\) ─")
    terminal.press("q")
    assert terminal.gone()
