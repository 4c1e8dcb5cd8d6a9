"""The wire format: frames survive being cut anywhere, garbage is an error and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podops_runners.frames import Frame, FrameDecoder, FrameError, encode_frame, encode_log_frame

HEADERS = st.dictionaries(st.text(max_size=5).filter(lambda key: key != "bytes"), st.integers() | st.text(), max_size=3)


@given(frames=st.lists(st.tuples(HEADERS, st.binary(max_size=50)), max_size=5), cuts=st.lists(st.integers(1, 9)))
def test_frames_arrive_whole_however_the_stream_is_cut(
    frames: list[tuple[dict[str, object], bytes]], cuts: list[int]
) -> None:
    data = b"".join(encode_frame(header, payload) for header, payload in frames)
    decoder, found = FrameDecoder(), list[Frame]()
    for cut in [*cuts, len(data)]:
        found += decoder.feed(data[:cut])
        data = data[cut:]
    told = [({k: v for k, v in frame.header.items() if k != "bytes"}, frame.payload) for frame in found]
    assert told == frames


@given(sub=st.integers(0, 99), offset=st.integers(0, 1 << 60), payload=st.binary(min_size=1, max_size=50))
def test_the_next_bytes_of_a_log_are_framed_as_every_push(sub: int, offset: int, payload: bytes) -> None:
    header = {"push": "log", "sub": sub, "offset": offset, "skipped": 0, "eof": False}
    assert encode_log_frame(sub, offset, payload) == encode_frame(header, payload)


@given(data=st.binary(max_size=200))
def test_garbage_is_a_frame_error_and_nothing_else(data: bytes) -> None:
    try:
        FrameDecoder().feed(data + b"\n")
    except FrameError as error:
        assert str(error)
