"""Following a log on its pod: a line goes out before anything else is looked at, and the end brings all there was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pods.loopback import wait_for

from podops_runners.log_marks import LogMarks
from podops_runners.logstream import LogFollower
from podops_runners.rundir import RunDir


class Following:
    """A follower of `log`; `said` is what it did, in order: the bytes it pushed, "asked" for each look at the run."""

    def __init__(
        self,
        log: Path,
        ended: Callable[[], bool],
        window: int = 65536,
        lossless: bool = True,
        whose: Callable[[], str] = str,
    ) -> None:
        self.said: list[bytes | str] = []
        self._ended = ended
        marks = LogMarks(RunDir(str(log.parent)))
        self.follower = LogFollower(1, str(log), 0, window, lossless, self._push, self._asked, marks, whose)
        self.follower.start()

    @property
    def sent(self) -> bytes:
        return b"".join(each for each in self.said if isinstance(each, bytes))

    def _push(self, header: dict[str, object], data: bytes) -> None:
        self.said += ["anew"] * ("anew" in header)
        self.said.append("end" if header["eof"] else data)

    def _asked(self) -> bool:
        self.said.append("asked")
        return self._ended()


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Following]]:
    started: list[Following] = []

    def begin(ended: Callable[[], bool], **options: Any) -> Following:
        started.append(Following(tmp_path / "stdout.log", ended, **options))
        return started[-1]

    yield begin
    for each in started:
        each.follower.stop()


def test_what_is_there_goes_out_before_it_is_asked_whether_the_run_has_ended(
    tmp_path: Path, follow: Callable[..., Following]
) -> None:
    (tmp_path / "stdout.log").write_bytes(b"first\n")
    hangs = threading.Event()
    following = follow(lambda: hangs.wait(60))  # as the record of a run on a volume that does not answer
    wait_for(lambda: "asked" in following.said, "the question whether the run has ended")
    assert following.said == [b"first\n", "asked"]
    hangs.set()


def test_what_is_written_while_the_run_ends_comes_before_its_end(
    tmp_path: Path, follow: Callable[..., Following]
) -> None:
    log = tmp_path / "stdout.log"
    log.write_bytes(b"first\n")

    def ended() -> bool:
        with log.open("ab") as stream:  # its last words, written after the look at the log and before the summary
            stream.write(b"last\n" * (not ended_before))
        ended_before.append(True)
        return True

    ended_before: list[bool] = []
    following = follow(ended)
    wait_for(lambda: "end" in following.said, "the end")
    assert following.sent == b"first\nlast\n" and following.said[-1] == "end"


def test_every_byte_comes_once_however_it_is_written_and_acknowledged(
    tmp_path: Path, follow: Callable[..., Following]
) -> None:
    log, whole, over = tmp_path / "stdout.log", b"", threading.Event()
    following = follow(over.is_set, window=4096)
    for number in range(200):
        piece = b"%d " % number * (number * 7 % 400) + b"\n"
        with log.open("ab") as stream:
            stream.write(piece)
        whole += piece
        following.follower.ack(len(following.sent))
    over.set()

    def complete() -> bool:
        following.follower.ack(len(following.sent))
        return "end" in following.said

    wait_for(complete, "all of the log")
    assert following.sent == whole


@pytest.mark.parametrize("replaced", [True, False], ids=["submitted anew", "a volume that numbers its files anew"])
def test_a_log_in_whose_place_there_is_another_is_sent_from_its_beginning(
    tmp_path: Path, follow: Callable[..., Following], replaced: bool
) -> None:
    log, owner = tmp_path / "stdout.log", ["first"]
    old = b"OLD %04d\n" * 100 % tuple(range(100))
    log.write_bytes(old)
    over = threading.Event()
    following = follow(over.is_set, whose=lambda: owner[0])
    wait_for(lambda: following.sent == old, "the first log")
    log.rename(tmp_path / "stdout.log.bak")
    owner[0] = "" if replaced else "first"
    new = b"NEW %04d\n" * 300 % tuple(range(300)) if replaced else old + b"more\n"
    log.write_bytes(new)
    wait_for(lambda: following.said.count("asked") > 2, "a look while nobody knows whose it is")
    owner[0] = "second" if replaced else "first"
    over.set()
    wait_for(lambda: "end" in following.said, "the end")
    assert following.sent == old + (new if replaced else b"more\n")
    assert ("anew" in following.said) is replaced


@pytest.mark.parametrize("end", [b"\r", b"\n"])
def test_whoever_is_far_behind_goes_on_with_a_whole_line_or_a_whole_update_of_one(
    tmp_path: Path, follow: Callable[..., Following], end: bytes
) -> None:
    updates = [b"step %d of 40000" % number + end for number in range(40_000)]
    (tmp_path / "stdout.log").write_bytes(b"".join(updates))
    following = follow(lambda: True, lossless=False)
    wait_for(lambda: bool(following.sent), "what comes first")
    first, _, _ = following.sent.partition(end)
    assert first + end in updates[1:]
