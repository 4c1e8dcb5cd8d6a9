"""Whether this machine takes runs: closed while everything on it is being ended."""

import os
from contextlib import contextmanager

from podops_runners import machine, records
from podops_runners.typed import Iterator

#: While this file is there, no run is taken into the queue. Whoever takes one shares the lock.
_CLOSED = "queue.closed"
_TAKING = "queue-taking"


@contextmanager
def taking() -> Iterator[None]:
    """For whoever makes a run. Raises `OSError`."""
    with machine.locked(_TAKING, shared=True):
        yield


def close() -> None:
    """Take no more runs; once this returns, every run that ever will be there is in its directory. Raises `OSError`."""
    records.write_bytes(machine.path_of(_CLOSED), b"")
    with machine.locked(_TAKING):
        pass


def reopen() -> None:
    """Take runs again. Raises `OSError`."""
    if is_closed():
        os.unlink(machine.path_of(_CLOSED))


def is_closed() -> bool:
    """Whether no run is taken; true for good only within `taking`. Raises `OSError`."""
    return os.path.exists(machine.path_of(_CLOSED))
