"""Lines from bytes, however they are cut into chunks."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from podops.fleet.snapshot import AttemptBegin, LogPiece
from podops_tui.ansi import clean, parse_line
from podops_tui.log_buffer import LogBuffer


def lines(*chunks: bytes, max_lines: int = 100, max_chars: int = 100) -> list[str]:
    buffer = LogBuffer(max_lines, max_chars)
    for chunk in chunks:
        buffer.feed(chunk)
    return buffer.lines()


def test_a_progress_bar_folds_to_its_last_state_across_chunks() -> None:
    assert lines(b" 1%\r 5", b"0%\r", b"100%\nnext") == ["100%", "next"]


def test_windows_line_ends_keep_the_line_also_when_cut_between() -> None:
    assert lines(b"one\r", b"\ntwo\r\n") == ["one", "two"]


def test_a_long_line_is_cut_and_marked() -> None:
    assert lines(b"x" * 50, b"y" * 60, b"\nz", max_chars=60) == ["x" * 50 + "y" * 10 + "…", "z"]


def test_old_lines_fall_off_and_a_line_keeps_its_number_whether_they_do_or_are_put_back() -> None:
    buffer = LogBuffer(max_lines=2)
    numbers = []
    for data in (b"1\n2\n", b"3\n", b"4\n", b"5"):
        buffer.feed(data)
        numbers.append(buffer.first + buffer.lines().index("2") if "2" in buffer.lines() else None)
    assert numbers == [1, 1, None, None]
    assert buffer.lines()[1:] == ["3", "4", "5"] and buffer.begin == 4
    assert buffer.put_before(LogPiece(2, b"2\n")) == 1 and buffer.first + buffer.lines().index("2") == 1
    assert buffer.put_before(LogPiece(0, b"1\n")) == 0 and buffer.lines() == ["1", "2", "3", "4", "5"]
    assert buffer.first + buffer.lines().index("2") == 1


def test_a_buffer_that_is_held_lets_nothing_fall_off() -> None:
    buffer = LogBuffer(max_lines=2)
    buffer.held = True
    buffer.feed(b"1\n2\n3\n")
    assert buffer.lines() == ["1", "2", "3"] and buffer.full
    buffer.held = False
    buffer.feed(b"4\n")
    assert buffer.lines()[1:] == ["3", "4"]


def test_a_gap_is_named() -> None:
    buffer = LogBuffer()
    buffer.feed("half \u00e9".encode()[:-1])
    buffer.skipped(2048)
    buffer.feed(b"after\n")
    before, note, after = buffer.lines()
    assert (before, after) == ("half ", "after") and "2.0 KiB skipped" in note


def test_what_was_freed_and_where_an_attempt_begins_are_told_also_when_read_backwards() -> None:
    buffer = LogBuffer()
    buffer.start_at(100)
    buffer.freed(5 * 2**20)
    buffer.begins(AttemptBegin(100 + 5 * 2**20, 3, "nccl"))
    buffer.feed(b"now\n")
    first = AttemptBegin(94, 2, "oom_gpu")
    assert buffer.begin == 100
    buffer.put_before(LogPiece(90, b"one\ntwo\nx", 0, (first,)))
    told = [parse_line(line).plain for line in buffer.lines()[1:]]
    assert told[:4] == ["one", "── attempt 2, after oom_gpu ──", "two", "x"]
    assert told[4:] == ["⋯ 5.0 MiB freed here by max_log_size ⋯", "── attempt 3, after nccl ──", "now"]
    buffer.put_before(LogPiece(0, b"top\ncut", 83, (AttemptBegin(50, 2, ""),)))
    told = [parse_line(line).plain for line in buffer.lines()]
    assert told[:5] == ["top", "cut", "── attempt 2 ──", "⋯ 83 B freed here by max_log_size ⋯", "one"]


def test_a_colour_goes_on_over_the_lines_until_it_is_ended() -> None:
    shown = [parse_line(line) for line in lines(b"\x1b[1;31mred\nstill\x1b[39m bold\n\x1b[0mplain\n")]
    assert [text.plain for text in shown] == ["red", "still bold", "plain"]
    assert [str(span.style) for span in shown[1].spans] == ["bold color(1)", "bold default"]
    assert all(str(span.style) == "none" for span in shown[2].spans)


def test_a_colour_set_before_a_carriage_return_goes_on_after_it() -> None:
    (line,) = lines(b"\x1b[32m 1%\r 2%")
    assert parse_line(line).plain == " 2%" and str(parse_line(line).spans[0].style) == "color(2)"


def test_a_tab_goes_to_the_next_eighth_cell_whatever_stands_before_it() -> None:
    told = lines("a\tb\n漢字\tb\n\x1b[1m漢\x1b[0m字\t\tb\n四個漢字\tb\n".encode())
    assert [parse_line(line).cell_len for line in told] == [9, 9, 17, 17]
    assert parse_line("漢字\tb").plain == clean("漢字\tb") == "漢字    b"


@given(st.text(alphabet="\x1b[]0123456789;:mKx\r\n", max_size=80))
def test_whatever_a_run_prints_no_control_code_reaches_the_screen(text: str) -> None:
    for line in lines(text.encode(), max_chars=200):
        assert not any(unicodedata.category(character) == "Cc" for character in parse_line(line).plain)


@given(st.text(alphabet="aé漢🙂\r\n", max_size=60), st.lists(st.integers(0, 200), max_size=5))
def test_where_chunks_are_cut_never_matters(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    chunks = [data[start:end] for start, end in pairwise(edges)]
    assert lines(*chunks) == lines(data)
