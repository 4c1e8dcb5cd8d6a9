"""What this machine's kernel says about its network is told when it could carry a link."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podops.link.local_changes import tells_of_a_change

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the messages are Linux's")


def message(kind: int, scope: int = 0) -> bytes:
    body = struct.pack("=BBBBI", 2, 24, 0, scope, 1)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_addresses_and_routes_are_changes_and_what_a_container_gives_itself_is_none() -> None:
    assert tells_of_a_change(message(20))
    assert tells_of_a_change(message(25))
    assert not tells_of_a_change(message(20, scope=253))
    assert not tells_of_a_change(message(16))
    assert tells_of_a_change(message(16) + message(21))


@given(data=st.binary(max_size=80))
def test_nothing_the_kernel_could_say_fails(data: bytes) -> None:
    tells_of_a_change(data)
