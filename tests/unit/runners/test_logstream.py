"""Following a log on its pod: a line goes out before anything else is looked at, and the end brings all there was."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pods.loopback import wait_for

from podops_runners import inotify, logstream
from podops_runners.frames import FrameDecoder
from podops_runners.held_file import HeldFile
from podops_runners.log_marks import LogMarks
from podops_runners.logstream import LogFollower
from podops_runners.rundir import RunDir


class Following:
    """A follower of `log`; `said` is what it did, in order.

    The bytes it pushed, after what it said of them ("anew", "attempt 2", "gap 100", "trouble …"); "asked" for each look
    at the run.
    """

    def __init__(
        self,
        log: Path,
        ended: Callable[[], bool],
        window: int = 65536,
        lossless: bool = True,
        whose: Callable[[], str] = str,
        **options: Any,
    ) -> None:
        self.said: list[bytes | str] = []
        self._decoder = FrameDecoder()
        self._ended = ended
        marks = LogMarks(RunDir(str(log.parent)))
        self.follower = LogFollower(1, str(log), 0, window, lossless, self._take, self._asked, marks, whose, **options)
        self.follower.start()

    @property
    def sent(self) -> bytes:
        return b"".join(each for each in self.said if isinstance(each, bytes))

    def _take(self, data: bytes) -> None:
        for header, payload in self._decoder.feed(data):
            self.said += ["anew"] * ("anew" in header)
            self.said += [f"{word} {header[word]}" for word in ("gap", "attempt", "trouble") if word in header]
            self.said += ["end"] if header["eof"] else [payload] * bool(payload)

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


def test_of_a_log_that_grows_line_by_line_it_is_told_where_an_attempt_begins_and_what_was_freed(
    tmp_path: Path, follow: Callable[..., Following]
) -> None:
    log, run, over = tmp_path / "stdout.log", RunDir(str(tmp_path)), threading.Event()

    def grow(line: bytes, at: int | None = None) -> None:
        with log.open("r+b") as stream:
            stream.seek(*(0, 2) if at is None else (at,))
            stream.write(line)
        wait_for(lambda: line in following.said, f"{line!r}")

    log.write_bytes(b"")
    following = follow(over.is_set)
    for line in (b"one 1\n", b"one 2\n"):
        grow(line)
    # Recorded at the end of an attempt, before the next one says anything.
    Path(run.attempts).write_text('{"attempt": 1, "log_end": 12, "reason": "oom"}\n')
    grow(b"two 1\n")
    grow(b"two 2\n")
    Path(run.events).write_text('{"event": "log_gap", "start": 24, "end": 8192}\n')
    grow(b"two 9\n", at=8192)
    grow(b"two 10\n")
    said = [each for each in following.said if each != "asked"]
    lines = [b"one 1\n", b"one 2\n", "attempt 2", b"two 1\n", b"two 2\n", "gap 8168", b"two 9\n", b"two 10\n"]
    assert said == lines


def test_a_file_that_took_the_place_of_the_log_wakes_whoever_follows(
    tmp_path: Path, follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, owner = tmp_path / "stdout.log", ["first"]
    log.write_bytes(b"old\n")
    following = follow(lambda: False, whose=lambda: owner[0])
    wait_for(lambda: following.sent == b"old\n", "the first log")
    owner[0] = "second"
    (tmp_path / "other").write_bytes(b"new\n")
    (tmp_path / "other").replace(log)
    wait_for(lambda: b"new\n" in following.said, "the second log")
    # From now on nothing else than a change of the file makes anybody look at it.
    for module in (inotify, logstream):
        monkeypatch.setattr(module, "_LOOK_S", 3600.0)
    looks = following.said.count("asked")
    wait_for(lambda: following.said.count("asked") > looks, "the last look by the clock")
    with log.open("ab") as stream:
        stream.write(b"newer\n")
    wait_for(lambda: b"newer\n" in following.said, "what was written to the second log")
    following.follower.stop()
    log.write_bytes(b"")


def test_a_size_that_a_volume_remembers_for_a_while_is_not_taken_for_a_log_that_was_cut_off(
    tmp_path: Path, follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "stdout.log"
    log.write_bytes(b"first\n")
    following = follow(lambda: False)
    wait_for(lambda: b"first\n" in following.said, "the first line")
    remembered = log.stat()
    with monkeypatch.context() as old:
        old.setattr(logstream, "_look", lambda _path: remembered)
        with log.open("ab") as stream:
            stream.write(b"second\n")
        wait_for(lambda: b"second\n" in following.said, "what was added")
        looks = following.said.count("asked")
        wait_for(lambda: following.said.count("asked") > looks + 1, "two looks at the size of before")
    with log.open("ab") as stream:
        stream.write(b"third\n")
    wait_for(lambda: b"third\n" in following.said, "what was added later")
    assert following.sent == b"first\nsecond\nthird\n" and "anew" not in following.said
    log.write_bytes(b"cut\n")
    wait_for(lambda: b"cut\n" in following.said, "what stands in the log that was cut off")
    assert "anew" in following.said


def test_the_last_words_of_a_log_come_over_a_mount_that_was_lost_and_made_again(
    tmp_path: Path, follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, lost = tmp_path / "stdout.log", set[int]()
    log.write_bytes(b"first\n")
    read, close = os.pread, os.close

    def read_unless_lost(descriptor: int, length: int, offset: int) -> bytes:
        if descriptor in lost:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return read(descriptor, length, offset)

    def close_and_say(descriptor: int) -> None:
        close(descriptor)
        if descriptor in lost:
            lost.remove(descriptor)
            raise OSError(errno.EIO, "Input/output error")

    def ended() -> bool:
        if not lost_once:
            lost_once.append(True)
            lost.update(held(log))
            with log.open("ab") as stream:
                stream.write(b"last words\n")
        return True

    lost_once: list[bool] = []
    monkeypatch.setattr(os, "pread", read_unless_lost)
    monkeypatch.setattr(os, "close", close_and_say)
    following = follow(ended)
    wait_for(lambda: "end" in following.said, "the end")
    assert following.sent == b"first\nlast words\n" and lost_once and not lost


def test_a_log_that_was_deleted_is_not_held_open(tmp_path: Path, follow: Callable[..., Following]) -> None:
    log = tmp_path / "stdout.log"
    log.write_bytes(b"first\n")
    following = follow(lambda: False)
    wait_for(lambda: following.sent == b"first\n" and bool(held(log)), "a log that is held open")
    log.unlink()
    wait_for(lambda: not held(Path(f"{log} (deleted)")), "its space to be given back")
    log.write_bytes(b"first\nsecond\n")
    wait_for(lambda: following.sent.endswith(b"second\n"), "what stands in the next file of its name")


def test_a_log_that_is_away_is_told_once_and_gone_on_with_at_its_next_byte_if_it_is_the_same(
    tmp_path: Path, follow: Callable[..., Following]
) -> None:
    log, elsewhere, owner, over = tmp_path / "stdout.log", tmp_path / "elsewhere", ["first"], threading.Event()
    log.write_bytes(b"one\n")
    following = follow(over.is_set, whose=lambda: owner[0], trouble=lambda: "" if log.exists() else "away")

    def go_away() -> None:
        before = following.said.count("trouble away")
        log.rename(elsewhere)
        wait_for(lambda: following.said.count("trouble away") > before, "the trouble")
        looks = following.said.count("asked")
        wait_for(lambda: following.said.count("asked") > looks + 3, "more looks")

    wait_for(lambda: following.sent == b"one\n", "the first line")
    go_away()
    with elsewhere.open("ab") as stream:
        stream.write(b"two\n")
    elsewhere.rename(log)
    wait_for(lambda: following.sent == b"one\ntwo\n", "what was written meanwhile")
    go_away()
    owner[0] = "second"
    log.write_bytes(b"another log\n")
    over.set()
    wait_for(lambda: "end" in following.said, "the end")
    said = [each for each in following.said if each != "asked"]
    away, back = "trouble away", "trouble "
    assert said == [b"one\n", away, back, b"two\n", away, "anew", back, b"another log\n", "end"]


def test_an_attempt_that_began_in_what_was_passed_over_is_told_with_the_next_line(
    tmp_path: Path, follow: Callable[..., Following]
) -> None:
    log = tmp_path / "stdout.log"
    log.write_bytes(b"x" * 20_000 + b"\n")  # nobody who is so far behind reads a part of it
    Path(RunDir(str(tmp_path)).attempts).write_text('{"attempt": 1, "log_end": 10, "reason": "oom"}\n')
    following = follow(lambda: False, window=4096, lossless=False)
    wait_for(lambda: "asked" in following.said, "a look at the log")
    with log.open("ab") as stream:
        stream.write(b"line\n")
    wait_for(lambda: b"line\n" in following.said, "the line")
    assert [each for each in following.said if each != "asked"] == ["attempt 2", b"line\n"]


def test_an_attempt_that_begins_while_the_end_of_the_one_before_is_read_is_told(
    tmp_path: Path, follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, plain = tmp_path / "stdout.log", HeldFile.read
    log.write_bytes(b"one 1\n")
    Path(RunDir(str(tmp_path)).attempts).write_text('{"attempt": 1, "log_end": 6, "reason": "oom"}\n')

    def read(file: HeldFile, *where: Any) -> bytes:
        if log.stat().st_size == 6:
            log.write_bytes(b"one 1\ntwo 1\n")
        return plain(file, *where)

    monkeypatch.setattr(HeldFile, "read", read)
    following = follow(lambda: False)
    wait_for(lambda: following.sent == b"one 1\ntwo 1\n", "both")
    assert [each for each in following.said if each != "asked"] == [b"one 1\n", "attempt 2", b"two 1\n"]


def held(file: Path) -> list[int]:
    """Our descriptors of it."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()) == str(file):
                found.append(int(link.name))
    return found


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
