"""A search says of any log what trying each of its lines would say, however it is cut into pieces and steps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podops_runners import log_blocks, log_search
from podops_runners.line_pattern import LinePattern, PatternError
from podops_runners.log_search import SearchStep, query_of
from podops_runners.rundir import RunDir

SEQUENCE = re.compile(rb"\x1b\[[0-9;]*m")

WORDS = st.sampled_from(
    [
        b"a",
        b"b",
        b"nan",
        b"NaN",
        b"loss",
        b" ",
        b"\n",
        b"\n",
        b"\r",
        b"\x1b[31m",
        b"\xff",
        "ä".encode(),
        b"1",
        b"",
        b"aa",
    ]
)
LOGS = st.lists(WORDS, max_size=60).map(b"".join)
PATTERNS = st.sampled_from(
    ["", "^", "$", "^$", "nan", "a", "^a", "a$", "nan|loss", "[Nn]a", "a+b", "a.b", "(?!a)b", "a(?!b)", r"\Aa", r"b\Z"]
)
MORE_PATTERNS = st.sampled_from(
    ["loss.*nan", "ä", "[ä1]", "(?i)nan", "a(?=b)", r"\bnan\b", "(a|b)+1", "n[^b]n", r"a\s+b", r"(?:loss\s?)?nan"]
)
LAST_PATTERNS = st.sampled_from(
    [r"\w\W", "(?<!a)b", "(?<=a)b", "a{2}", r"(.)\1", "(?:a|)b", r"\s", r"[^a]$", r"a(?=\s)"]
)


def expected(data: bytes, pattern: str, ignore_case: bool) -> list[int]:
    """The line starts where each line alone, without its colours, holds `pattern`."""
    letters = any(ord(letter) > 127 for letter in pattern)
    flags = re.IGNORECASE if ignore_case else 0
    found, offset = [], 0
    lines = data.split(b"\n")
    for line in lines if lines[-1] else lines[:-1]:
        shown = SEQUENCE.sub(b"", line)
        hit = (
            re.search(pattern, shown.decode("utf-8", "surrogateescape"), flags)
            if letters
            else re.search(pattern.encode(), shown, flags)
        )
        if hit:
            found.append(offset)
        offset += len(line) + 1
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return RunDir(str(tmp_path_factory.mktemp("run")))


def search(run: RunDir, **request: Any) -> tuple[list[tuple[Any, ...]], list[dict[str, Any]]]:
    """All matches, each with its text, and the answers they came in."""
    matches: list[tuple[Any, ...]] = []
    answers = []
    while True:
        told, payload = SearchStep(query_of(request)).run(run)
        for match in told["matches"]:
            text, payload = payload[: match[5]], payload[match[5] :]
            matches.append((*match, text))
        answers.append(told)
        if told["next"] is None:
            return matches, answers
        request |= told["next"]


@settings(deadline=None, max_examples=400)
@given(
    data=LOGS,
    pattern=PATTERNS | MORE_PATTERNS | LAST_PATTERNS,
    ignore_case=st.booleans(),
    most=st.integers(1, 5),
    block=st.integers(1, 40),
)
def test_a_search_finds_exactly_the_lines_that_hold_the_pattern_in_both_directions(
    run: RunDir, data: bytes, pattern: str, ignore_case: bool, most: int, block: int
) -> None:
    Path(run.stdout_log).write_bytes(data)
    wanted = expected(data, pattern, ignore_case)
    asked: dict[str, Any] = {"pattern": pattern, "ignore_case": ignore_case, "most": most}
    before, log_blocks.BLOCK = log_blocks.BLOCK, block
    try:
        found, _ = search(run, **asked, line=1)
        backward, _ = search(run, **asked, backward=True)
        counted = sum(answer["count"] for answer in search(run, **asked, count=True)[1])
    finally:
        log_blocks.BLOCK = before
    assert [match[0] for match in found] == wanted
    assert [match[0] for match in backward] == wanted[::-1]
    assert counted == len(wanted)
    lines = data.split(b"\n")
    for offset, length, _, _, begin, _, number, text in found:
        assert number == data.count(b"\n", 0, offset) + 1
        assert begin == 0 and text == lines[number - 1] and length == len(text)


@settings(deadline=None, max_examples=200)
@given(data=LOGS, text=st.sampled_from(["nan", "a", "ä", "Ä", "1 ", "loss"]), ignore_case=st.booleans())
def test_plain_text_is_found_where_it_stands(run: RunDir, data: bytes, text: str, ignore_case: bool) -> None:
    Path(run.stdout_log).write_bytes(data)
    found, _ = search(run, pattern=text, literal=True, ignore_case=ignore_case)
    counted = search(run, pattern=text, literal=True, ignore_case=ignore_case, count=True)[1]
    assert sum(answer["count"] for answer in counted) == len(found)
    assert [match[0] for match in found] == expected(data, re.escape(text), ignore_case)
    for offset, _, at, to, *_ in found:
        matched = SEQUENCE.sub(b"", data[offset + at : offset + to]).decode("utf-8")
        assert matched.lower() == text.lower() if ignore_case else matched == text


def test_a_line_longer_than_any_part_of_it_is_searched_to_its_end(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_blocks, "BLOCK", 64)
    monkeypatch.setattr(log_blocks, "MAX_LINE", 1024)
    monkeypatch.setattr(log_blocks, "OVERLAP", 32)
    text = b"first\n" + b"x" * 700 + b"needle" + b"y" * 100 + b"\nsecond\n"
    for place in range(900, 2200, 7):
        # Longer than what is kept of a line: found all the same, once, wherever the parts meet.
        long = b"z" * place + b"needle" + b"z" * (4000 - place)
        Path(run.stdout_log).write_bytes(text + long + b"\nlast needle")
        for backward in (False, True):
            found, _ = search(run, pattern="needle", literal=True, backward=backward, text_bytes=40)
            assert [(match[0] + match[2], match[7].count(b"needle")) for match in found[:: -1 if backward else 1]] == [
                (706, 1),
                (len(text) + place, 1),
                (len(text) + len(long) + 6, 1),
            ]


def test_freed_and_never_written_parts_are_passed_over(run: RunDir) -> None:
    Path(run.stdout_log).write_bytes(b"needle 1\n")
    with open(run.stdout_log, "r+b") as stream:
        stream.seek(3 * 2**40)
        stream.write(b"\0" * 100 + b"needle 2\nother\nneedle 3\n")
    for backward in (False, True):
        found, answers = search(run, pattern="needle", line=None if backward else 1, backward=backward)
        assert [match[7].strip(b"\0") for match in found][:: -1 if backward else 1] == [
            b"needle 1",
            b"needle 2",
            b"needle 3",
        ]
        assert len(answers) < 4
    assert [match[6] for match in search(run, pattern="needle", line=1)[0]] == [1, None, None]
    Path(run.stdout_log).unlink()


def test_a_log_that_grows_is_searched_as_it_was_when_the_search_began(run: RunDir) -> None:
    log = Path(run.stdout_log)
    log.write_bytes(b"needle\n" * 10)
    told, _ = SearchStep(query_of({"pattern": "needle", "most": 3})).run(run)
    log.write_bytes(b"needle\n" * 100)
    assert len(search(run, pattern="needle", **told["next"])[0]) == 7
    log.write_bytes(b"needle\n" * 4)
    assert len(search(run, pattern="needle", **told["next"])[0]) == 1
    for content in (b"", None):
        log.write_bytes(content) if content is not None else log.unlink()
        assert search(run, pattern="needle", **told["next"])[0] == []


def test_of_a_bar_that_was_drawn_over_only_its_last_state_is_searched_when_asked_so(run: RunDir) -> None:
    Path(run.stdout_log).write_bytes(b"10% loss=nan\r20% loss=1\r30% loss=2\r\nloss=nan\r\n")
    assert [match[0] for match in search(run, pattern="nan", folded=True)[0]] == [36]
    (first, second) = search(run, pattern="nan")[0]
    assert (first[0], first[2], second[0]) == (0, 9, 36)
    (last,) = search(run, pattern="^30%", folded=True)[0]
    assert last[2:4] == (24, 27)


def test_colours_do_not_hide_text(run: RunDir) -> None:
    Path(run.stdout_log).write_bytes(b"loss: \x1b[1;32m0.5\x1b[0m end\n\x1b]8;;http://x\x07loss: 1\n")
    ((_, _, at, to, *_),) = search(run, pattern=r"loss: 0\.5 end")[0]
    assert (at, to) == (0, 24)
    assert [match[0] for match in search(run, pattern="^loss")[0]] == [0, 25]


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[", "(?P<x>a)(?P<x>b)", "*a", "a" * 5000, "a\nb", "(?z)"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        LinePattern(pattern)


def test_a_pattern_is_plain_text_when_asked_so(run: RunDir) -> None:
    Path(run.stdout_log).write_bytes(b"f(x)*\nfx\n")
    assert [match[0] for match in search(run, pattern="f(x)*", literal=True)[0]] == [0]
    assert log_search.MAX_TEXT >= 4096
