"""A child process that was started without an event loop, taken into one."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from functools import partial

#: How often its end is looked for while somebody waits for it, seconds.
LOOK_S = 0.005


class AdoptedProcess:
    """What `LocalProcess` needs of `asyncio.subprocess.Process`."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
        reading: Sequence[asyncio.BaseTransport],
    ) -> None:
        self._child = child
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._reading = reading

    @property
    def returncode(self) -> int | None:
        return self._child.poll()

    async def wait(self) -> int:
        # Not by the loop's own watcher, which knows only what it has started.
        while (status := self._child.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        return status

    @property
    def pid(self) -> int:
        return self._child.pid

    def send_signal(self, number: int) -> None:
        self._child.send_signal(number)

    def release(self) -> None:
        """Close the pipes it is read through."""
        for transport in self._reading:
            transport.close()


async def adopt(child: subprocess.Popen[bytes]) -> AdoptedProcess:
    """Take `child`, all of whose streams are pipes, into the running loop."""
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    loop = asyncio.get_running_loop()
    stdout, stderr = asyncio.StreamReader(loop=loop), asyncio.StreamReader(loop=loop)
    reading = []
    for reader, pipe in ((stdout, child.stdout), (stderr, child.stderr)):
        transport, _ = await loop.connect_read_pipe(partial(asyncio.StreamReaderProtocol, reader), pipe)
        reading.append(transport)
    writing, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, child.stdin)
    return AdoptedProcess(child, asyncio.StreamWriter(writing, protocol, None, loop), stdout, stderr, reading)
