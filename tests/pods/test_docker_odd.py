"""What a user can rely on where something else than a healthy engine answers: it is told, soon, and eats no memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from podops.config.model import PodConfig
from podops.transport import docker_engine
from tests.pods.bare_link import failure
from tests.pods.conftest import MakeProject, Ops
from tests.pods.odd_engine import CHUNKED, ENDLESS, odd_engine


@pytest.mark.parametrize("kind", ENDLESS)
async def test_an_engine_that_answers_without_end_is_told_and_read_no_further(world: Path, kind: str) -> None:
    with odd_engine(world, *ENDLESS[kind]) as engine:
        error = await failure(PodConfig("c", docker="c", docker_host=engine.host))
    assert f"the engine at {engine.host} sent more than 4 MiB in one answer" in error.message


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX-Slow: ", CHUNKED])
async def test_an_engine_that_answers_a_little_at_a_time_has_no_longer_for_it_than_a_silent_one(
    world: Path, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr(docker_engine, "ANSWER_S", 1.0)
    with odd_engine(world, first, b"1\r\n \r\n" if first is CHUNKED else b"x", pause_s=0.1) as engine:
        # Where nothing ends it, this does.
        async with asyncio.timeout(30):
            error = await failure(PodConfig("c", docker="c", docker_host=engine.host))
    assert error.message == f"the engine at {engine.host} did not answer in time"


def says(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


NO_ENGINES = {
    "a page": says(b"<html>It works!</html>"),
    "nothing": says(b""),
    "a deep list": says(b"[" * 200_000),
    "a list": says(b"[]"),
    "no version": says(b"{}"),
    "a version without a number": says(b'{"ApiVersion": "newest"}'),
    "a version that is no text": says(b'{"ApiVersion": 1.41}'),
    "no state": says(b'{"ApiVersion": "1.41"}'),
    "an odd state": says(b'{"ApiVersion": "1.41", "State": []}'),
    "no id": says(b'{"ApiVersion": "1.41", "State": {"Running": true}}'),
    "another address": says(b"elsewhere", b"301 Moved\r\nLocation: /elsewhere"),
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("kind", NO_ENGINES)
async def test_what_does_not_speak_as_an_engine_is_told_to_be_none(world: Path, kind: str) -> None:
    with odd_engine(world, NO_ENGINES[kind]) as engine:
        error = await failure(PodConfig("c", docker="c", docker_host=engine.host))
    assert error.message.startswith(f"what answers at {engine.host} does not speak Docker's API"), error.message
    assert error.hint == "correct `docker_host`"


def test_doctor_waits_for_a_silent_engine_no_longer_than_it_was_told_to(
    world: Path, project: MakeProject, ops: Ops
) -> None:
    with odd_engine(world) as engine:
        project(PodConfig("c", docker="c", docker_host=engine.host))
        told = ops("--timeout", "1", "doctor", "--json")
    (check,) = (check for check in told.json["checks"] if check["what"] == "engine")
    # The words of the time limit asked for, which are not those of the one that an engine's answer has anyway.
    assert (check["level"], check["message"]) == ("fail", f"did not answer in time, {engine.host}")
