"""What of a log reaches a terminal: its text and colours, and nothing that could steer it, however it is cut up."""

from __future__ import annotations

import pytest
from tests.pods.hostile import STEERING

from podops.cli.output import json_text
from podops.cli.terminal_filter import TerminalFilter


def shown(*pieces: bytes) -> bytes:
    screen = TerminalFilter()
    return b"".join(screen.feed(piece) for piece in pieces) + screen.end()


def test_text_and_colours_stay_and_the_rest_goes() -> None:
    log = b"a\tb\r\n" + STEERING + "é 😀 \x1b[1;38:5:9mbold\n".encode()
    assert shown(log) == "a\tb\r\n� 1;1Hé 😀 \x1b[1;38:5:9mbold\n\x1b[0m".encode()


def test_a_sequence_cut_in_two_is_still_recognised() -> None:
    log = b"one " + STEERING + "\x1b[31mé\x1b[0m two\n".encode()
    whole = shown(log)
    for cut in range(len(log)):
        assert shown(log[:cut], log[cut:]) == whole, cut
    assert shown(*(log[at : at + 1] for at in range(len(log)))) == whole


@pytest.mark.parametrize("opening", [b"\x1b]0;", b"\x1bP", b"\x1b["])
def test_a_sequence_that_never_ends_hides_no_later_line(opening: bytes) -> None:
    pieces = [opening + b"1" * 3000, b"2" * 3000, b"\n", b"later\n"]
    assert shown(*pieces).endswith(b"\nlater\n")


def test_json_shows_what_is_not_printable_as_escapes() -> None:
    document = {"text": "\x9b2J \u202e \ud800 é 😀"}
    assert json_text(document) == '{"text": "\\u009b2J \\u202e \\ud800 é 😀"}'
