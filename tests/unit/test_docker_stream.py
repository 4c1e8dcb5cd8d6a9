"""The stream of a command in a container, however it is cut into pieces."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podops.errors import ProtocolError
from podops.transport.docker_stream import STDERR, STDOUT, Demultiplexer

PIECES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40)), max_size=12)


@given(PIECES, st.lists(st.integers(1, 17), min_size=1, max_size=30))
def test_both_outputs_come_whole_and_in_order_wherever_the_stream_is_cut(
    pieces: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(struct.pack(">BxxxL", output, len(data)) + data for output, data in pieces)
    streams, got = Demultiplexer(), {STDOUT: b"", STDERR: b""}
    position = 0
    while position < len(stream):
        size = cuts[position % len(cuts)]
        for output, data in streams.feed(stream[position : position + size]):
            got[output] += data
        position += size
    for output in got:
        assert got[output] == b"".join(data for number, data in pieces if number == output)


@given(st.binary(min_size=8, max_size=64))
def test_anything_else_is_refused_or_passed_and_never_fails_otherwise(data: bytes) -> None:
    streams = Demultiplexer()
    try:
        told = list(streams.feed(data))
    except ProtocolError:
        return
    assert sum(len(part) for _, part in told) <= len(data) - 8


def test_what_is_no_such_stream_is_told() -> None:
    with pytest.raises(ProtocolError):
        list(Demultiplexer().feed(b"HTTP/1.1 400 Bad Request"))
