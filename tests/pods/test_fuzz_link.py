"""Whatever stands in a frame, neither end of a link dies of it, and nothing it sends grows without bound."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podops.fleet.pacing import Gate
from podops.fleet.pod_link import PodLink
from podops.link.pod_archive import pod_archive
from podops_runners.frames import MAX_HEADER_BYTES, Frame, FrameDecoder, FrameError, encode_frame
from tests.pods.fleet_config import fleet_config
from tests.pods.loopback import end_leftovers
from tests.pods.pod_side import PodSide

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OPS = st.sampled_from(
    "submit kill queue run read follow unfollow ack check fix open data room eof close rate hello x".split()  # noqa: SIM905
)
NAMES = (
    "run_id",
    "project",
    "name",
    "offset",
    "length",
    "from",
    "window",
    "lossless",
    "sub",
    "spec",
    "action",
    "value",
    "conn",
    "room",
    "fix",
    "script",
    "env_files",
)
FIELDS = st.dictionaries(
    st.sampled_from([*NAMES, "request_id", "by", "grace_s", "projects", "protocol"]), JSON, max_size=5
)
PUSHES = st.sampled_from(["sample", "runs", "log", "problem", "data", "room", "eof", "close", "x"])
PUSH_FIELDS = ("host", "gpus", "full", "changed", "gone", "sub", "offset", "skipped", "eof", "message", "conn", "room")

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def side(tmp_path: Path) -> Iterator[PodSide]:
    pyz = tmp_path / "podops.pyz"
    pyz.write_bytes(pod_archive()[0])
    # Its patience with a silent client is no matter here; what is asked may take long to be thought of.
    found = PodSide(sys.executable, pyz, "--dead-man", "600", env={"PODOPS_STATE_DIR": str(tmp_path / "state")})
    found.hello(tmp_path / "runs", tmux={"enabled": False})
    yield found
    found.process.kill()
    found.process.communicate()
    end_leftovers(tmp_path)


def test_no_request_ends_the_pod_side(side: PodSide) -> None:
    numbers = iter(range(10, 1_000_000))

    @QUICK
    @given(op=OPS | JSON, fields=FIELDS, number=st.none() | JSON)
    def ask(op: Any, fields: dict[str, Any], number: Any) -> None:
        if op == "hello" and fields.get("protocol") == 1:
            return
        pinged = next(numbers)
        side.send(**{**fields, "op": op, "id": number})
        side.send(op="ping", id=pinged)
        side.wait_for(lambda frame: frame.header.get("id") == pinged)

    ask()
    assert side.process.poll() is None


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b'{"op":"ping","bytes":-1}\n', b"\xff\n", b"[]\n"])
def test_what_is_no_frame_ends_the_pod_side_with_a_word(side: PodSide, garbage: bytes) -> None:
    assert side.process.stdin is not None
    side.process.stdin.write(garbage)
    side.process.stdin.flush()
    assert "frame" in side.push("problem").header["message"]
    assert side.process.wait(60) == 0


@QUICK
@given(kind=PUSHES | JSON, fields=st.dictionaries(st.sampled_from(PUSH_FIELDS), JSON, max_size=6), payload=st.binary())
async def test_no_push_ends_the_client_or_spoils_what_it_shows(
    kind: Any, fields: dict[str, Any], payload: bytes
) -> None:
    config = fleet_config("near")
    link = PodLink(config, config.pods["near"], lambda _name, _sample: None, Gate(1), 1.0)
    link._take_push(Frame({**fields, "push": kind}, payload))
    json.dumps(link.snapshot.reason)
    assert all(isinstance(run_id, str) for run_id in link.snapshot.runs)


@QUICK
@given(
    frames=st.lists(st.tuples(FIELDS, st.binary(max_size=40)), min_size=1, max_size=4),
    place=st.integers(0, 400),
    change=st.binary(min_size=1, max_size=4),
    cut=st.integers(1, 64),
)
def test_a_stream_with_bytes_changed_is_frames_or_a_frame_error(
    frames: list[tuple[dict[str, Any], bytes]], place: int, change: bytes, cut: int
) -> None:
    data = bytearray(b"".join(encode_frame(header, payload) for header, payload in frames))
    place %= len(data)
    data[place : place + len(change)] = change
    decoder = FrameDecoder()
    try:
        for start in range(0, len(data), cut):
            for frame in decoder.feed(bytes(data[start : start + cut])):
                assert isinstance(frame.header, dict)
    except FrameError as error:
        assert len(str(error)) < 400


def test_a_header_without_end_is_given_up_within_its_limit() -> None:
    decoder = FrameDecoder()
    piece = b" " * (1 << 20)
    with pytest.raises(FrameError, match="longer than"):
        for _ in range(MAX_HEADER_BYTES // len(piece) + 1):
            decoder.feed(piece)
