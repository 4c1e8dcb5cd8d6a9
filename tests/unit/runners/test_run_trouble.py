"""What is said of a run whose supervisor cannot record it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from podops_runners import run_trouble
from podops_runners.journal import Journal
from podops_runners.rundir import RunDir
from podops_runners.runfiles import parse_heartbeat

FULL = OSError(errno.ENOSPC, "No space left on device")


def beat_with(journal: Journal, run: RunDir, state: str = "running", **facts: str) -> dict[str, str]:
    journal.beat(state, facts)
    return parse_heartbeat(Path(run.heartbeat).read_text())


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(str(tmp_path))


def test_a_heartbeat_tells_what_its_volume_refuses_and_how_the_run_has_ended(run: RunDir) -> None:
    journal = Journal(run)
    assert run_trouble.by_heartbeat(beat_with(journal, run)) is None
    journal.tell(FULL)
    told = "the volume is full: what it tells is not recorded"
    assert run_trouble.by_heartbeat(beat_with(journal, run)) == told
    assert run_trouble.by_heartbeat(beat_with(journal, run, "succeeded", reason="ok")) == (
        f"{told}; it has ended: succeeded"
    )
    journal.tell(OSError(errno.EIO, "Input/output error"))
    assert run_trouble.by_heartbeat(beat_with(journal, run)) == (
        "the volume refuses what is to be written (Input/output error): what it tells is not recorded"
    )


def test_trouble_that_a_heartbeat_can_only_tell_of_afterwards_is_not_told_as_lasting(run: RunDir) -> None:
    journal = Journal(run)
    journal.tell(OSError(errno.ENOENT, "No such file or directory"))
    assert run_trouble.by_heartbeat(beat_with(journal, run)) is None


def test_a_full_machine_directory_is_not_taken_for_a_full_volume(run: RunDir) -> None:
    def refused() -> None:
        raise FULL

    journal = Journal(run)
    journal.keep(refused)
    told = run_trouble.by_heartbeat(beat_with(journal, run))
    assert told == "the machine directory is full: what is noted there of this run may be missing"
