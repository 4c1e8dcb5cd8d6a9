"""More time for an attempt that waits for a person than for one that waits for a pod."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from podops.transport.security_keys import PATIENCE_S

#: How often it is looked whether somebody is asked for something, seconds; what took less nobody had to do.
_LOOK_S = 1.0


@contextmanager
def patient(
    limit: asyncio.Timeout,
    seconds: float,
    asks: Callable[[], str],
    tell: Callable[[str], None],
    queues: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Give a person `PATIENCE_S` from when `asks()` says that something is to be done, and the pod `seconds` after it.
    While `queues()`, the pod has not been asked yet.

    `tell` is called with what it says, and with nothing when it is done.
    """
    loop = asyncio.get_running_loop()
    told = ""
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal told, timer
        wanted = asks()
        if queues():
            limit.reschedule(loop.time() + seconds)
        elif bool(wanted) is not bool(told):
            limit.reschedule(loop.time() + (PATIENCE_S if wanted else seconds))
        if wanted != told:
            told = wanted
            tell(wanted)
        timer = loop.call_later(_LOOK_S, look)

    timer = loop.call_later(_LOOK_S, look)
    try:
        yield
    finally:
        timer.cancel()
