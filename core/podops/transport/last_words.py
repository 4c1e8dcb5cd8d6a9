"""Reading what a server said before it hung up: why it did, mostly."""

from __future__ import annotations

import asyncio
from typing import Any

#: What came before the end of a connection is worked on within this time, seconds.
_WITHIN_S = 0.05


def hear_out(connection: Any) -> None:
    """Let packets that came together with the end of `connection`, one of asyncssh's, be read before it ends.

    asyncssh (2.24) works on some of them in tasks, and takes an end that comes meanwhile as a connection that was
    lost for no reason: of a server that shares no cipher with us, that would be all that is told.
    """
    end = connection.eof_received

    def eof_received() -> bool:
        asyncio.get_running_loop().call_later(_WITHIN_S, end)
        return True  # asyncio closes its side otherwise

    connection.eof_received = eof_received
