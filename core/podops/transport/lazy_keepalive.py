"""Looking for life on a connection when that is due, and not making a timer for each of its packets.

asyncssh (2.24) ends a timer and makes another one whenever anything comes: 40 microseconds of the 900 that a line of a
log took from its pod to its pane.
"""

from __future__ import annotations

import asyncio
from typing import Any

#: What is used here of asyncssh's own.
_AS_READ = ("_keepalive_interval", "_keepalive_timer", "_keepalive_timer_callback", "_reset_keepalive_timer")


def look_when_due(connection: Any) -> None:
    """Of `connection`, one of asyncssh's that has not logged in yet: its timer goes on for as long as it has heard.

    One that keeps its time in another way, as a later asyncssh may, is left alone.
    """
    if not all(hasattr(connection, name) for name in _AS_READ):
        return
    loop = asyncio.get_running_loop()
    due = connection._keepalive_timer_callback
    heard_at = loop.time()

    def hear() -> None:
        nonlocal heard_at
        heard_at = loop.time()

    def look() -> None:
        left = heard_at + connection._keepalive_interval - loop.time()
        if left > 0:
            connection._keepalive_timer = loop.call_later(left, look)
        else:
            due()

    connection._reset_keepalive_timer = hear
    connection._keepalive_timer_callback = look
