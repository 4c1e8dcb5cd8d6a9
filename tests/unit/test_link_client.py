"""A link whose far end lies, babbles, falls silent or goes away ends with a reason; nothing waits on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from podops.errors import NotFoundError, PodActionError, ProtocolError, UnreachableError
from podops.link import pulse
from podops.link.client import LinkClient
from podops_runners.frames import MAX_PAYLOAD_BYTES, Frame, FrameDecoder, encode_frame


class FarEnd:
    """A pod in memory: answers what the test tells it to. `silent` leaves pings unanswered."""

    def __init__(self, silent: bool = False) -> None:
        self.heard: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {} if silent else {"ping": {"ok": True}}
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._decoder = FrameDecoder()

    def say(self, data: bytes) -> None:
        self._said.put_nowait(data)

    async def read(self, limit: int) -> bytes:
        return await self._said.get()

    async def write(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self.heard.append(frame.header)
            answer = self.answers.get(frame.header["op"])
            if answer is not None and "id" in frame.header:
                self.say(encode_frame({"id": frame.header["id"], **answer}))

    async def wait_closed(self) -> tuple[int | None, str]:
        return 1, "first line\nMemoryError"

    async def close(self) -> None:
        pass


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


@asynccontextmanager
async def linked(far: FarEnd, pushes: list[Frame] | None = None, silence_s: float = 5.0) -> AsyncIterator[LinkClient]:
    client = LinkClient(far, "h100", (pushes if pushes is not None else []).append, silence_s=silence_s)
    client.start()
    try:
        async with asyncio.timeout(60):
            yield client
    finally:
        await client.close()


@pytest.mark.parametrize(
    "lie",
    [
        b"bash: line 1: something\n",
        b"[1,2]\n",
        json.dumps({"push": "log", "bytes": MAX_PAYLOAD_BYTES + 1}).encode() + b"\n",
        b'{"bytes":-1}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
)
async def test_what_is_no_frame_ends_the_link_as_a_protocol_error(lie: bytes) -> None:
    far = FarEnd()
    async with linked(far) as client:
        waiting = asyncio.create_task(client.request("run"))
        await asyncio.sleep(0)
        far.say(lie)
        with pytest.raises(ProtocolError, match="h100"):
            await waiting
        assert isinstance(await client.closed(), ProtocolError)


async def test_answers_to_nothing_and_odd_pushes_are_passed_over() -> None:
    far, pushes = FarEnd(), list[Frame]()
    async with linked(far, pushes) as client:
        for odd in ({"id": 99, "ok": True}, {"id": "x"}, {"id": [], "ok": True}, {"push": 5}):
            far.say(encode_frame(odd))
        far.answers["run"] = {"ok": True, "run": 1}
        assert (await client.request("run")).header["run"] == 1
    assert [frame.header for frame in pushes] == [{"push": 5}]


async def test_a_pods_error_becomes_one_of_ours_without_terminal_codes() -> None:
    far = FarEnd()
    async with linked(far) as client:
        error = {"code": "not_found", "message": "no run \x1b[31mx", "hint": "look"}
        far.answers["run"] = {"ok": False, "error": error}
        with pytest.raises(NotFoundError, match=r"no run \[31mx") as caught:
            await client.request("run")
        assert caught.value.hint == "look"
        far.answers["run"] = {"ok": False, "error": {"code": "disk_full", "message": "disk full"}}
        with pytest.raises(PodActionError) as failed:
            await client.request("run")
        assert failed.value.error_code == "disk_full"
        far.answers["run"] = {"ok": "yes", "error": 7}
        with pytest.raises(PodActionError):
            await client.request("run")


async def test_the_end_of_the_far_process_is_told_with_its_last_words() -> None:
    far = FarEnd()
    async with linked(far) as client:
        waiting = asyncio.create_task(client.request("run"))
        await asyncio.sleep(0)
        far.say(b"")
        with pytest.raises(UnreachableError, match="ended with status 1: MemoryError"):
            await waiting
        with pytest.raises(UnreachableError, match="MemoryError"):
            await client.request("run")


@pytest.fixture
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "TICK_S", 0.01)


async def test_a_pod_that_says_nothing_is_noticed(quick_ticks: None) -> None:
    async with linked(FarEnd(silent=True), silence_s=0.05) as client:
        assert "nothing was heard from pod h100" in (await client.closed()).message


async def test_a_pod_that_answers_nothing_but_still_sends_bytes_is_slow_not_dead(quick_ticks: None) -> None:
    far = FarEnd(silent=True)
    async with linked(far, silence_s=0.7) as client:
        for _ in range(100):
            far.say(b" ")
            await asyncio.sleep(0.01)
        assert not client.lost


async def test_a_link_that_shows_no_life_after_a_change_of_network_is_given_up() -> None:
    far = FarEnd(silent=True)
    async with linked(far) as client:
        client.probe(0.05)
        assert "nothing was heard" in (await client.closed()).message
    far = FarEnd()
    async with linked(far) as client:
        client.probe(0.5)
        await asyncio.sleep(0.6)
        assert not client.lost


async def test_a_follow_nobody_waits_for_any_more_is_ended_on_the_pod() -> None:
    far = FarEnd()
    async with linked(far) as client:
        waiting = asyncio.create_task(client.request("follow"))
        await until(lambda: any(frame["op"] == "follow" for frame in far.heard))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        number = next(frame["id"] for frame in far.heard if frame["op"] == "follow")
        far.say(encode_frame({"id": number, "ok": True, "sub": 3}))
        await until(lambda: any(frame["op"] == "unfollow" for frame in far.heard))
        assert [frame["sub"] for frame in far.heard if frame["op"] == "unfollow"] == [3]


async def test_latency_is_measured() -> None:
    async with linked(FarEnd()) as client:
        await until(lambda: client.latency_s is not None)
        assert client.latency_s is not None and 0 <= client.latency_s < 60
