"""One comparison, and the arithmetic of repeated timings."""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """`ours` and `theirs` in `unit`; `instead` is what a person would use without podops."""

    what: str
    instead: str
    ours: float
    theirs: float
    unit: str

    @property
    def ratio(self) -> str:
        """How many times the other's figure ours is."""
        return f"{self.ours / self.theirs:.2f}" if self.theirs > 0 else "-"


def p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def median_and_p99(what: str, instead: str, ours: Sequence[float], theirs: Sequence[float], unit: str) -> list[Row]:
    return [
        Row(f"{what}, median", instead, statistics.median(ours), statistics.median(theirs), unit),
        Row(f"{what}, p99", instead, p99(ours), p99(theirs), unit),
    ]


def median(what: str, instead: str, ours: Sequence[float], theirs: Sequence[float], unit: str) -> Row:
    return Row(what, instead, statistics.median(ours), statistics.median(theirs), unit)


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return (time.perf_counter() - begun) * 1000


async def cost(*command: str) -> tuple[float, float]:
    """A command from nothing to its end: ms by the clock, and of processor time with its own children."""
    before, begun = os.times(), time.perf_counter()
    await process(*command)
    took, after = time.perf_counter() - begun, os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return 1000 * took, 1000 * spent


async def process(*command: str, ok: Sequence[int] = (0,)) -> None:
    """Run a command to its end. Raises when its status is not one of `ok`."""
    pipe = asyncio.subprocess.PIPE
    null = asyncio.subprocess.DEVNULL
    started = await asyncio.create_subprocess_exec(*command, stdin=null, stdout=pipe, stderr=pipe)
    _, said = await started.communicate()
    if started.returncode not in ok:
        raise RuntimeError(f"{command[:3]} ended with {started.returncode}: {said.decode(errors='replace')}")


async def file_text(path: Path, seconds: float = 120.0, every_s: float = 0.005) -> str:
    """The text of a file once it has a whole line, looked for so often. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while True:
            text = await asyncio.to_thread(_text, path)
            if text.endswith("\n"):
                return text
            await asyncio.sleep(every_s)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
