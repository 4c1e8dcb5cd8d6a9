"""When a log is sent in pieces of many lines instead of line by line."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from podops_runners import logstream
from podops_runners.frames import FrameDecoder
from podops_runners.logstream import LogFollower


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("podops_runners.logstream.time.monotonic", lambda: now[0])
    return now


def test_a_log_of_few_lines_a_second_is_sent_line_by_line(clock: list[float]) -> None:
    rate = logstream._LineRate()
    for _ in range(300):
        clock[0] += 0.03
        assert not rate.many(b"iter\n")


def test_a_log_of_many_lines_a_second_is_gathered_until_it_calms_down(clock: list[float]) -> None:
    rate = logstream._LineRate()
    many = []
    for _ in range(300):
        clock[0] += 0.01
        many.append(rate.many(b"iter\n"))
    assert not any(many[:40])
    assert all(many[60:])
    clock[0] += 3.0
    assert not rate.many(b"iter\n")


def test_a_gathered_log_is_whole_and_comes_in_fewer_pieces_than_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logstream, "_MANY_LINES", 0)
    log, pieces, over = tmp_path / "stdout.log", list[bytes](), threading.Event()
    log.touch()
    ended = threading.Event()

    def take(data: bytes) -> None:
        for header, payload in FrameDecoder().feed(data):
            pieces.append(payload)
            if header["eof"]:
                over.set()

    LogFollower(1, str(log), 0, 1 << 20, True, take, ended.is_set).start()
    with log.open("ab", buffering=0) as out:
        for number in range(40):
            out.write(b"line %d\n" % number)
            over.wait(0.01)
    ended.set()
    assert over.wait(10)
    assert b"".join(pieces) == log.read_bytes()
    assert len(pieces) < 30
