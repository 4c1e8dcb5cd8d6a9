"""Pods that are not there: their end of the link is spoken in this process, from recorded traffic.

Everything on this side of the transport is the real thing: bootstrap, frames, links, fleet, app.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections import deque
from typing import Any

from benchmarks import recorded_traffic
from podops.config.model import PodConfig, ProjectConfig
from podops_runners.frames import Frame, FrameDecoder, encode_frame

#: How often a log that is followed grows, seconds; a pod sends one of more than 50 lines a second no more often.
_LOG_S = 0.1


class Traffic:
    """What all simulated pods say, and what saying it cost."""

    def __init__(self, lines_per_s: float = 20.0) -> None:
        """A log that is followed grows by so many lines a second."""
        self.samples = recorded_traffic.samples()
        self.runs = recorded_traffic.RunTraffic()
        self.lines_per_s = lines_per_s
        #: Processor time of the simulated pods themselves, seconds.
        self.spent = 0.0
        #: Bytes said, and lines of logs among them.
        self.said = self.lines = 0
        #: How often each pod samples, and tells of its runs, seconds.
        self.paces: dict[str, tuple[float, float]] = {}


class SimulatedProcess:
    """The pod side of one link."""

    def __init__(self, pod: str, traffic: Traffic, number: int, greeting: bytes) -> None:
        self._pod = pod
        self._traffic = traffic
        self._decoder = FrameDecoder()
        self._waiting: deque[bytes] = deque([recorded_traffic.REPORT])
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._sample_s = self._runs_s = 1.0
        self._ticks = itertools.count(1)
        self._subs = itertools.count(1)
        self._number = number
        self._timers: dict[object, asyncio.TimerHandle] = {}
        self._log_sizes: dict[int, int] = {}
        self._hear(greeting)

    async def read(self, limit: int) -> bytes:
        while not self._waiting and not self._ended.is_set():
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._waiting)
        self._waiting.clear()
        return data

    async def write(self, data: bytes) -> None:
        self._hear(data)

    def _hear(self, data: bytes) -> None:
        begun = time.process_time()
        for frame in self._decoder.feed(data):
            self._take(frame)
        self._traffic.spent += time.process_time() - begun

    async def wait_closed(self) -> tuple[int | None, str]:
        await self._ended.wait()
        return None, ""

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._ended.set()
        self._news.set()

    def _take(self, frame: Frame) -> None:
        request = frame.header
        op, number = request.get("op"), request.get("id")
        if op == "hello":
            self._say({"id": number, "ok": True, **recorded_traffic.hello()})
            self._push(self._traffic.runs.full(self._pod))
            self._rate(request)
        elif op == "rate":
            self._rate(request)
            self._say({"id": number, "ok": True})
        elif op == "follow":
            sub = next(self._subs)
            self._log_sizes[sub] = 0
            self._say({"id": number, "ok": True, "sub": sub, "offset": 0, "size": 0})
            self._every(("log", sub), lambda: self._grow(sub), _LOG_S)
        elif op == "unfollow":
            if (timer := self._timers.pop(("log", request.get("sub")), None)) is not None:
                timer.cancel()
            self._say({"id": number, "ok": True})
        elif op == "ping":
            self._say({"id": number, "ok": True, "time": time.time()})
        elif number is not None:
            error = {"code": "not_found", "message": "a simulated pod has no files", "hint": ""}
            self._say({"id": number, "ok": False, "error": error})

    def _rate(self, request: dict[str, Any]) -> None:
        self._sample_s = float(request.get("sample_interval_s", self._sample_s))
        self._runs_s = float(request.get("runs_interval_s", self._runs_s))
        self._traffic.paces[self._pod] = (self._sample_s, self._runs_s)
        self._every("sample", self._sample, self._sample_s)
        # A run has something new once a second, however often its pod looks.
        self._every("runs", self._change, max(1.0, self._runs_s))

    def _every(self, what: object, work: Any, seconds: float) -> None:
        """Do `work` every so many seconds; pods that begin together do not speak together."""
        loop = asyncio.get_running_loop()

        def do() -> None:
            begun = time.process_time()
            work()
            self._timers[what] = loop.call_later(seconds, do)
            self._traffic.spent += time.process_time() - begun

        if (before := self._timers.pop(what, None)) is not None:
            before.cancel()
        self._timers[what] = loop.call_later(seconds * (self._number * 0.618 % 1.0), do)

    def _sample(self) -> None:
        samples = self._traffic.samples
        self._push(samples[next(self._ticks) % len(samples)])

    def _change(self) -> None:
        self._push(self._traffic.runs.changes(self._pod, next(self._ticks)))

    def _grow(self, sub: int) -> None:
        lines = max(1, round(self._traffic.lines_per_s * _LOG_S))
        data = recorded_traffic.LOG_LINE * lines
        self._traffic.lines += lines
        offset = self._log_sizes[sub]
        self._log_sizes[sub] += len(data)
        self._push(encode_frame({"push": "log", "sub": sub, "offset": offset, "skipped": 0, "eof": False}, data))

    def _say(self, header: dict[str, Any]) -> None:
        self._push(encode_frame(header))

    def _push(self, data: bytes) -> None:
        self._traffic.said += len(data)
        self._waiting.append(data)
        self._news.set()


class SimulatedTransport:
    def __init__(self, pod: PodConfig, traffic: Traffic) -> None:
        self.address = f"simulated {pod.name}"
        self._pod = pod
        self._traffic = traffic

    async def start(self, command: str) -> SimulatedProcess:
        greeting = base64.b64decode(command.split()[-1])
        return SimulatedProcess(self._pod.name, self._traffic, int(self._pod.name.rpartition("-")[2]), greeting)


def simulated_config(pods: int) -> ProjectConfig:
    """A project of so many pods, `sim-0000` on."""
    names = [f"sim-{number:04}" for number in range(pods)]
    found = {name: PodConfig(name, ssh=name, outputs_dir="/mnt/runs/bench") for name in names}
    return ProjectConfig("bench", "/mnt/runs/bench", pods=found)
