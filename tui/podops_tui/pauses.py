"""Python's own pauses: what a collection of garbage looks at, and how often."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New objects before the youngest are looked at, and how often that happens before older ones are. What a fleet tells
#: lives for a second or more: Python's own 700 look at it again and again.
_EVERY = (2000, 5, 100)


@contextmanager
def shortened() -> Iterator[None]:
    """Within it what was loaded before is left out of every collection, and they are fewer.

    What is loaded stays for good, and to look through all of it takes 60 ms in which no key is answered.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_EVERY)
    leave_out_what_is_there()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def leave_out_what_is_there() -> None:
    """No later collection looks at what there is now. It is freed all the same, but for what goes round in circles."""
    gc.freeze()
