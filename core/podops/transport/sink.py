"""Where asyncssh writes what a pod says, the moment it comes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any


class Sink(io.RawIOBase):
    """What asyncssh takes for a file: it is written to as packets come, and closed after the last one."""

    def __init__(self, take: Callable[[bytes], None], came: Callable[[], None] = lambda: None) -> None:
        """`came` is called before each `take`."""
        self._came = came
        self._take = take
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, data: Any) -> int:
        self._came()
        try:
            if not self.over.done():
                self._take(data)
        except Exception as error:
            self.over.set_exception(error)
        return len(data)

    def close(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
        super().close()
