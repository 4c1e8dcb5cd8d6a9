"""What was answered to requests that changed something, so that one that is asked twice is done once.

An answer can be lost on its way. The client then asks again, under the same id, through another link process; so the
answers lie on disk, with the machine's own files, bounded in age and number.
"""

import fcntl
import json
import os
import re
import time

from podops_runners import machine
from podops_runners.typed import Any, Callable, Dict, Optional

#: An answer older than this is forgotten, seconds; a client asks again within a minute.
KEEP_S = 86400.0

#: Beyond so many the oldest are forgotten.
KEEP = 1000

_VALID = re.compile(r"[0-9a-zA-Z-]{8,64}\Z")

Header = Dict[str, Any]


def valid_id(request_id: Any) -> Optional[str]:
    """`request_id` if it is one, else `None`."""
    return request_id if isinstance(request_id, str) and _VALID.match(request_id) else None


def once(request_id: Any, work: Callable[[], Header]) -> Header:
    """What `work` answers, or what it answered when this request came before.

    A request still being worked on elsewhere is waited for. What raises is not remembered. Without an id, or without
    a place to remember it, the work is simply done.
    """
    name = valid_id(request_id)
    descriptor = _open(name) if name else None
    if descriptor is None:
        return work()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        told = _read(descriptor)
        if told is None:
            told = work()
            _write(descriptor, told)
        return told
    finally:
        os.close(descriptor)


def _open(name: str) -> Optional[int]:
    try:
        directory = machine.path_of("answers")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _forget(directory)
        return os.open(os.path.join(directory, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _read(descriptor: int) -> Optional[Header]:
    """The answer, or `None` when there is none: also when whoever wrote it died in the middle."""
    try:
        told = json.loads(os.pread(descriptor, 1 << 20, 0).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _write(descriptor: int, told: Header) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(told).encode("ascii"), 0)
        os.fsync(descriptor)
    except OSError:
        pass  # a full disk: the work is done all the same, and whoever asks hears of it


def _forget(directory: str) -> None:
    """Remove what is too old, and of the rest what is too much, the oldest first."""
    with os.scandir(directory) as entries:
        found = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
    now = time.time()
    for place, (written, path) in enumerate(found):
        if now - written > KEEP_S or len(found) - place > KEEP:
            os.unlink(path)
