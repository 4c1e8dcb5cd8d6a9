"""A request that is asked twice is done once, whoever died in between; what is remembered stays bounded."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from podops_runners import answers


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODOPS_STATE_DIR", str(tmp_path))
    return tmp_path / "answers"


class Work:
    """Counts how often it is done."""

    def __init__(self, fails: bool = False) -> None:
        self.done = 0
        self.fails = fails

    def __call__(self) -> dict[str, Any]:
        self.done += 1
        if self.fails:
            raise OSError("no")
        return {"run_id": "r", "number": self.done}


def test_the_second_time_the_first_answer_is_given(store: Path) -> None:
    work = Work()
    assert answers.once("a" * 32, work) == answers.once("a" * 32, work) == {"run_id": "r", "number": 1}
    assert answers.once("b" * 32, work)["number"] == 2


@pytest.mark.parametrize("nobody", [None, "", 7, "short", "../../../etc/passwd", "x" * 65])
def test_what_is_no_id_is_done_each_time_and_leaves_nothing(store: Path, nobody: Any) -> None:
    work = Work()
    answers.once(nobody, work)
    answers.once(nobody, work)
    assert work.done == 2 and not store.exists()


def test_what_failed_or_was_cut_off_is_done_again(store: Path) -> None:
    with pytest.raises(OSError):
        answers.once("a" * 32, Work(fails=True))
    assert answers.once("a" * 32, Work())["number"] == 1
    (store / ("b" * 32)).write_text('{"run_id": "r", "num')
    assert answers.once("b" * 32, Work())["number"] == 1


def test_one_that_is_still_worked_on_is_waited_for(store: Path) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> dict[str, Any]:
        begun.set()
        may_end.wait(10)
        return {"by": "the first"}

    told: list[dict[str, Any]] = []
    first = threading.Thread(target=lambda: told.append(answers.once("a" * 32, slow)))
    first.start()
    begun.wait(10)
    second = threading.Thread(target=lambda: told.append(answers.once("a" * 32, lambda: {"by": "the second"})))
    second.start()
    may_end.set()
    first.join(10)
    second.join(10)
    assert told == [{"by": "the first"}] * 2


def test_the_old_and_the_many_are_forgotten(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEEP", 3)
    for number in range(5):
        answers.once(f"request-{number}", Work())
        stamp = time.time() - 100 + number
        os.utime(store / f"request-{number}", (stamp, stamp))
    assert len(list(store.iterdir())) <= 4
    assert answers.once("request-4", Work())["number"] == 1
    stale = time.time() - answers.KEEP_S - 1
    for file in store.iterdir():
        os.utime(file, (stale, stale))
    answers.once("request-9", Work())
    assert [file.name for file in store.iterdir()] == ["request-9"]
