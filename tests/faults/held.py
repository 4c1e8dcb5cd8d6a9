"""What this process holds: memory, tasks, descriptors, and how many objects of the engine and of its SSH library."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

#: Whose objects are counted; what is known of runs and pods grows with them.
_OURS, _KNOWN = ("podops.", "asyncssh."), "podops.fleet.snapshot"


@dataclass(frozen=True)
class Held:
    rss_mib: float
    #: By what they run.
    tasks: Counter[str]
    descriptors: int
    #: Memory blocks that Python has given out; what the allocator keeps of freed ones is in the memory alone.
    blocks: int
    objects: Counter[str]

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        rss_mib = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return cls(rss_mib, _tasks(), descriptors, sys.getallocatedblocks(), _objects())

    @classmethod
    async def least(cls, seconds: float = 3.0) -> Held:
        """Of each the least in so long, which is what is kept: at any moment an answer is on its way, what was lost a
        moment ago is still being closed, or what was told is being written to the history."""
        end = time.monotonic() + seconds
        least = cls.now()
        while time.monotonic() < end:
            await asyncio.sleep(0.1)
            least = least._and_less(cls.now())
        return least

    def _and_less(self, other: Held) -> Held:
        return Held(
            min(self.rss_mib, other.rss_mib),
            self.tasks & other.tasks,
            min(self.descriptors, other.descriptors),
            min(self.blocks, other.blocks),
            self.objects & other.objects,
        )

    def more_than(self, before: Held) -> Counter[str]:
        """The tasks and objects there are more of now than there were."""
        return self.tasks - before.tasks + (self.objects - before.objects)

    def __str__(self) -> str:
        counts = f"{self.tasks.total()} tasks, {self.descriptors} descriptors, {self.objects.total()} objects"
        return f"{self.rss_mib:.1f} MiB in {self.blocks} blocks, {counts}"


def _tasks() -> Counter[str]:
    return Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())


def _objects() -> Counter[str]:
    counted: Counter[str] = Counter()
    for kind in map(type, gc.get_objects()):
        module = kind.__module__
        if isinstance(module, str) and module.startswith(_OURS) and module != _KNOWN:
            counted[f"{module}.{kind.__qualname__}"] += 1
    return counted
