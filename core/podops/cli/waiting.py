"""Telling a person who is waited for, where it takes so long that one wonders."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from podops.cli.output import say_for_now
from podops.transport import locked_keys

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet

#: After so long it is told, and so often, seconds.
_TELL_S = 1.0

#: So many are named.
_NAMED = 5


@contextmanager
def told_waiting(fleet: Fleet, seconds: float) -> Iterator[None]:
    """On a terminal there is a line meanwhile that says which pods have not answered, and how long they still may."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    telling = asyncio.create_task(_tell(fleet, time.monotonic() + seconds))
    try:
        yield
    finally:
        telling.cancel()
        say_for_now("")


async def _tell(fleet: Fleet, end: float) -> None:
    while (left := round(end - time.monotonic() - _TELL_S)) > 0:
        await asyncio.sleep(_TELL_S)
        desk, asked = locked_keys.desk(), [source.name for source in fleet.snapshot.sources if source.state == "asking"]
        waited = [*asked, *fleet.unsettled()]
        # A question stands there, or what a key wants of a person.
        if waited and not fleet.waits_for_a_person() and not (desk is not None and desk.busy):
            more = f" and {len(waited) - _NAMED} more" if len(waited) > _NAMED else ""
            say_for_now(f"waiting for {', '.join(waited[:_NAMED])}{more} (up to {left} s)")
