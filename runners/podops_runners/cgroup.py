"""The memory cgroup we run in: how often the kernel killed for memory there, and how much memory it may use.

Read for version 2 (`memory.events`, `memory.max`) and version 1 (`memory.oom_control`, `memory.limit_in_bytes`), at our
own level and at every parent that can be seen: a run may live in a sibling of ours below the same container. Whatever
stands in these files, nothing here raises.
"""

import os

from podops_runners.typed import List, NamedTuple, Optional

#: Version 1 writes "no limit" as a number just below 2^63, rounded to pages.
_NO_LIMIT = 1 << 60
_MAX_BYTES = 64 * 1024
_MAX_LEVELS = 64


class _Files(NamedTuple):
    """Our levels, ours first, and what the two files are called there."""

    levels: List[str]
    events: str
    limit: str
    #: A level's counter also holds the kills of the levels below it.
    hierarchical: bool


def oom_kills(root: str = "/") -> Optional[int]:
    """Processes killed for memory in our cgroup since it was made; `None` where nobody counts.

    Only the growth between two looks tells something. `root` is where `proc` and `sys` are found.
    """
    for files in (_version_2(root), _version_1(root)):
        counts = [_field(os.path.join(level, files.events), "oom_kill") for level in files.levels]
        known = [count for count in counts if count is not None]
        if known:
            return max(known) if files.hierarchical else sum(known)
    return None


def memory_limit_bytes(root: str = "/") -> Optional[int]:
    """The lowest limit on our cgroup and its visible parents, bytes; `None` without one."""
    limits = []
    for files in (_version_2(root), _version_1(root)):
        for level in files.levels:
            limit = _number(_text(os.path.join(level, files.limit)).strip())
            if limit is not None and limit < _NO_LIMIT:
                limits.append(limit)
    return min(limits) if limits else None


def _version_2(root: str) -> _Files:
    levels = _levels(os.path.join(root, "sys/fs/cgroup"), _own_path(root, ""))
    return _Files(levels, "memory.events", "memory.max", True)


def _version_1(root: str) -> _Files:
    levels = _levels(os.path.join(root, "sys/fs/cgroup/memory"), _own_path(root, "memory"))
    return _Files(levels, "memory.oom_control", "memory.limit_in_bytes", False)


def _own_path(root: str, controller: str) -> List[str]:
    """Our path in the hierarchy of `controller` (empty for version 2), as names; empty where it is not told."""
    for line in _text(os.path.join(root, "proc/self/cgroup")).splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and controller in fields[1].split(","):
            # Seen from outside its namespace, a cgroup is told as "/../..".
            return [name for name in fields[2].split("/") if name not in ("", ".", "..")][:_MAX_LEVELS]
    return []


def _levels(mount: str, names: List[str]) -> List[str]:
    # A container without a cgroup namespace is told its path on the host, while its mount begins at itself: the
    # levels that do not exist then drop out by having no files.
    return [os.path.join(mount, *names[:depth]) for depth in range(len(names), -1, -1)]


def _field(path: str, name: str) -> Optional[int]:
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return _number(words[1])
    return None


def _number(text: str) -> Optional[int]:
    return int(text) if text.isdigit() and text.isascii() and len(text) < 20 else None


def _text(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.read(_MAX_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
