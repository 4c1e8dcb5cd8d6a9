"""What this process holds: memory, tasks, descriptors, and how many objects of the engine and of its SSH library."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

#: Whose objects are counted; what is known of runs and pods grows with them.
_OURS, _KNOWN = ("podops.", "asyncssh."), "podops.fleet.snapshot"


@dataclass(frozen=True)
class Held:
    rss_mib: float
    tasks: int
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
        return cls(rss_mib, len(asyncio.all_tasks()), descriptors, sys.getallocatedblocks(), _objects())

    def more_than(self, before: Held) -> Counter[str]:
        """The objects there are more of now than there were."""
        return self.objects - before.objects

    def __str__(self) -> str:
        count = sum(self.objects.values())
        told = f"{self.rss_mib:.1f} MiB in {self.blocks} blocks, {self.tasks} tasks, {self.descriptors} descriptors"
        return f"{told}, {count} objects"


def _objects() -> Counter[str]:
    counted: Counter[str] = Counter()
    for kind in map(type, gc.get_objects()):
        module = kind.__module__
        if isinstance(module, str) and module.startswith(_OURS) and module != _KNOWN:
            counted[f"{module}.{kind.__qualname__}"] += 1
    return counted
