"""Keeping `stdout.log` below the size its preset allows, without changing one offset in it."""

import ctypes
import os

from podops_runners.typed import Optional, Tuple

#: Linux: fallocate(2) flags. The space is given back, the size stays.
_PUNCH_HOLE, _KEEP_SIZE = 0x02, 0x01

_BLOCK = 4096

#: How much of the limit stays at the beginning and at the end of the file.
_HEAD, _TAIL = 0.1, 0.5


def middle_of(size: int, limit: int, freed_to: int) -> Optional[Tuple[int, int]]:
    """The range to free so that about 60 % of `limit` stays, whole blocks; `None` when there is nothing to free.

    `freed_to` is the end of what was freed before.
    """
    start = max(freed_to, _up(int(limit * _HEAD)))
    end = _down(size - int(limit * _TAIL))
    return (start, end) if end > start else None


def punch_hole(path: str, start: int, end: int) -> bool:
    """Give the space of `[start, end)` back; reading there gives zero bytes. False where that is not possible."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        fallocate = libc.fallocate64 if hasattr(libc, "fallocate64") else libc.fallocate
        fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        descriptor = os.open(path, os.O_WRONLY)
    except (OSError, AttributeError):
        return False
    try:
        return bool(fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, start, end - start) == 0)
    finally:
        os.close(descriptor)


def _up(count: int) -> int:
    return -(-count // _BLOCK) * _BLOCK


def _down(count: int) -> int:
    return count // _BLOCK * _BLOCK
