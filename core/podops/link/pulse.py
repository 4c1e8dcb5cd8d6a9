"""One timer for many links: each is looked at once a second, and all of them wake the process no more often than one.

A timer for each would wake it as many times a second as there are links, which costs more than reading what they say.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

#: How often each is looked at, seconds.
TICK_S = 1.0

#: Those that are looked at have so many moments of a second among them, so that their pings do not go out together.
_MOMENTS = 10

Look = Callable[[], None]

_pulses: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pulse] = weakref.WeakKeyDictionary()


def look_each_tick(look: Look) -> Callable[[], None]:
    """Call `look`, which must not raise, in the running loop every `TICK_S` from now on; returns the way to stop.

    A process that was stopped does not make up for the ticks it missed.
    """
    loop = asyncio.get_running_loop()
    pulse = _pulses.get(loop)
    if pulse is None:
        pulse = _pulses[loop] = _Pulse()
    return pulse.join(look)


class _Pulse:
    def __init__(self) -> None:
        self._moments: list[list[Look]] = [[] for _ in range(_MOMENTS)]
        self._next = 0
        self._beating: asyncio.TimerHandle | None = None

    def join(self, look: Look) -> Callable[[], None]:
        moment = min(self._moments, key=len)
        moment.append(look)
        if self._beating is None:
            self._later()

        def leave() -> None:
            if look in moment:
                moment.remove(look)

        return leave

    def _later(self) -> None:
        self._beating = asyncio.get_running_loop().call_later(TICK_S / _MOMENTS, self._beat)

    def _beat(self) -> None:
        self._beating = None
        moment = self._moments[self._next]
        self._next = (self._next + 1) % _MOMENTS
        for look in list(moment):
            look()
        if any(self._moments):
            self._later()
