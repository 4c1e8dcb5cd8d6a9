"""A log that is written and followed while its network is bad."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from podops.fleet.fleet import Fleet
from podops_runners.rundir import RunDir
from tests.pods.fleet_config import end_by_hand, hand_made_run
from tests.pods.loopback import SshPod


@dataclass
class Writer:
    """Writes a log of a run without rest until told to end it."""

    log: Path
    rate: int = 20_000
    written: bytearray = field(default_factory=bytearray)

    async def work(self) -> None:
        noise = random.Random(11)
        while True:
            data = noise.randbytes(noise.randrange(1, self.rate // 5))
            self.written += data
            with self.log.open("ab") as stream:
                stream.write(data)
            await asyncio.sleep(0.1)


def _held_run(pod: SshPod) -> Path:
    """The log of a run that is not taken for lost, however long nobody works on it."""
    log = hand_made_run(pod.outputs_dir, "long")
    held = Path(RunDir(str(log.parent)).held)
    held.parent.mkdir(exist_ok=True)
    held.touch()
    return log


@asynccontextmanager
async def followed_log(fleet: Fleet, pod: SshPod, rate: int = 20_000, name: str = "pod") -> AsyncIterator[Writer]:
    """Write a log and follow it meanwhile; after the block, all that was written must have been read, in order."""
    writer = Writer(_held_run(pod), rate)
    await fleet.settled(30)
    read = bytearray()
    begun = asyncio.Event()

    async def follow() -> None:
        async with fleet.follow(name, "long", offset=0, lossless=True) as stream:
            async for chunk in stream:
                assert chunk.offset == len(read) and not chunk.skipped
                read.extend(chunk.data)
                begun.set()
                stream.ack(len(read))

    following = asyncio.create_task(follow())
    writing = asyncio.create_task(writer.work())
    try:
        await begun.wait()
        yield writer
        writing.cancel()
        end_by_hand(writer.log)
        async with asyncio.timeout(60):
            await following
        assert len(read) == len(writer.written) and read == writer.written
    finally:
        writing.cancel()
        following.cancel()
        await asyncio.gather(writing, following, return_exceptions=True)
