"""What happens to this machine that no link can see by itself: it slept, its clock was set, its network changed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

#: How often the clocks are compared, seconds.
TICK_S = 1.0

#: Clocks further apart than this mean that the machine slept, or that one of them was set, seconds.
_APART_S = 2.0

#: Changes of the network come in swarms; those of so many seconds are told as one.
_SETTLED_S = 0.3

# From linux/rtnetlink.h: groups for addresses and routes, and the types of the messages they send.
_GROUPS = 0x10 | 0x40 | 0x100
_ADDRESS_TYPES, _ROUTE_TYPES = (20, 21), (24, 25)
_SCOPE_LINK = 253
_HEADER = struct.Struct("=IHHII")
_ADDRESS = struct.Struct("=BBBBI")


def asleep_s() -> float:
    """How long this machine has slept since it was started, seconds; only differences mean anything."""
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_UPTIME_RAW)
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else time.clock_gettime(boottime) - time.clock_gettime(time.CLOCK_MONOTONIC)


def _ahead_s() -> float:
    """How far the clock on the wall is ahead of one that nobody sets and that never sleeps; only differences mean
    anything."""
    return time.time() - time.monotonic() - asleep_s()


async def watch_clocks(woke: Callable[[float], None], clock_set: Callable[[float], None]) -> None:
    """Call `woke(seconds slept)` after each sleep of this machine and `clock_set(by)` when somebody has set its clock
    by more than two seconds, until cancelled."""
    asleep, ahead = asleep_s(), _ahead_s()
    while True:
        await asyncio.sleep(TICK_S)
        asleep_now, ahead_now = asleep_s(), _ahead_s()
        if asleep_now - asleep > _APART_S:
            woke(asleep_now - asleep)
        if abs(ahead_now - ahead) > _APART_S:
            clock_set(ahead_now - ahead)
        asleep, ahead = asleep_now, ahead_now


async def watch_network(changed: Callable[[], None]) -> None:
    """Call `changed()` once an address or a route of this machine has come or gone, until cancelled.

    Returns at once where the system does not tell.
    """
    source = _open()
    if source is None:
        return
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def read() -> None:
        with contextlib.suppress(OSError):
            if tells_of_a_change(source.recv(65536)):
                news.set()

    loop.add_reader(source, read)
    try:
        while True:
            await news.wait()
            await asyncio.sleep(_SETTLED_S)
            news.clear()
            changed()
    finally:
        loop.remove_reader(source)
        source.close()


def _open() -> socket.socket | None:
    source = None
    try:
        if sys.platform == "linux":
            source = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            source.bind((0, _GROUPS))
        elif hasattr(socket, "AF_ROUTE"):
            source = socket.socket(socket.AF_ROUTE, socket.SOCK_RAW, 0)
        else:
            return None
        source.setblocking(False)
    except OSError:
        if source is not None:
            source.close()
        return None
    return source


def tells_of_a_change(data: bytes) -> bool:
    """Whether a message of the kernel is about an address or a route that could carry a link.

    The addresses that each container's interface gets for itself (`fe80::`) are not.
    """
    if sys.platform != "linux":
        return True
    return any(
        kind in _ROUTE_TYPES or (kind in _ADDRESS_TYPES and _scope(body) != _SCOPE_LINK)
        for kind, body in _messages(data)
    )


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _scope(body: bytes) -> int:
    return int(_ADDRESS.unpack_from(body)[3]) if len(body) >= _ADDRESS.size else _SCOPE_LINK
