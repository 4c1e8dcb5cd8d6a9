"""What the control groups of this process let it use: a container's own limits, where `/proc` tells the machine's.

Version 1 and 2, with or without a cgroup namespace. Everything here is `None` where there is no limit to be found.
"""

import os

from podops_runners.kernel_files import KernelFiles
from podops_runners.typed import Dict, List, NamedTuple, Optional, Tuple

#: Version 1 writes "no limit" as a number near 2^63.
_UNLIMITED = 1 << 60


class MemoryLimit(NamedTuple):
    """Bytes. `used_bytes` leaves out the page cache, which the kernel gives back when it is needed."""

    used_bytes: int
    limit_bytes: int


class CpuLimit(NamedTuple):
    """`cores` that may be used at once; `used_s`: seconds of processor time used so far."""

    cores: float
    used_s: Optional[float]


class ContainerLimits:
    """The groups of one process, found once. `proc` is its directory under `/proc`."""

    def __init__(self, files: KernelFiles, proc: str = "/proc/self") -> None:
        self._files = files
        once = KernelFiles()
        mounts = _mounts(_text(once, os.path.join(proc, "mountinfo")))
        groups = _groups(_text(once, os.path.join(proc, "cgroup")))
        once.close()
        self._unified = _levels(mounts.get(""), groups.get(""))
        self._memory = _levels(mounts.get("memory"), groups.get("memory"))
        self._cpu = _levels(mounts.get("cpu"), groups.get("cpu"))
        same = groups.get("cpuacct") == groups.get("cpu")
        self._cpuacct = _levels(mounts.get("cpuacct"), groups.get("cpuacct")) if same else []

    def memory(self) -> Optional[MemoryLimit]:
        """The tightest memory limit from our group up, and what is used of it."""
        found = [
            limit
            for levels, names in (
                (self._unified, ("memory.max", "memory.current", "inactive_file")),
                (self._memory, ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
            )
            for limit in [self._memory_limit(level, *names) for level in levels]
            if limit is not None
        ]
        return min(found, key=lambda limit: limit.limit_bytes, default=None)

    def cpu(self) -> Optional[CpuLimit]:
        """The tightest processor quota from our group up."""
        found = [limit for limit in map(self._quota_v2, self._unified) if limit is not None]
        for depth, level in enumerate(self._cpu):
            limit = self._quota_v1(level, self._cpuacct[depth] if depth < len(self._cpuacct) else "")
            if limit is not None:
                found.append(limit)
        return min(found, key=lambda limit: limit.cores, default=None)

    def _memory_limit(self, level: str, limit_name: str, used_name: str, cache_name: str) -> Optional[MemoryLimit]:
        limit = self._number(level, limit_name)
        if limit is None or limit >= _UNLIMITED:
            return None
        used = self._number(level, used_name)
        if used is None:
            return None
        cache = self._table(level, "memory.stat").get(cache_name, 0)
        return MemoryLimit(max(0, used - cache), limit)

    def _quota_v2(self, level: str) -> Optional[CpuLimit]:
        words = _text(self._files, level + "/cpu.max").split()
        if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[1]) == 0:
            return None
        used = self._table(level, "cpu.stat").get("usage_usec")
        return CpuLimit(int(words[0]) / int(words[1]), None if used is None else used / 1e6)

    def _quota_v1(self, level: str, accounting: str) -> Optional[CpuLimit]:
        quota = self._number(level, "cpu.cfs_quota_us")
        if quota is None or quota <= 0:
            return None
        period = self._number(level, "cpu.cfs_period_us")
        if not period:
            return None
        used = self._number(accounting, "cpuacct.usage") if accounting else None
        return CpuLimit(quota / period, None if used is None else used / 1e9)

    def _table(self, directory: str, name: str) -> Dict[str, int]:
        rows = [line.split() for line in _text(self._files, directory + "/" + name).splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}

    def _number(self, directory: str, name: str) -> Optional[int]:
        try:
            return int(self._files.read(directory + "/" + name))
        except ValueError:
            return None


def _levels(mount: Optional[Tuple[str, str]], group: Optional[str]) -> List[str]:
    """The directories of a group, from itself up to where the hierarchy is mounted."""
    if mount is None or group is None:
        return []
    root, point = mount
    inside = os.path.relpath(group, root)
    # A container without a cgroup namespace sees its own group mounted, under the name the host gave it.
    parts = [] if inside == "." or inside.startswith("..") else inside.split("/")
    paths = [os.path.join(point, *parts[:depth]) for depth in range(len(parts), -1, -1)]
    return [path for path in paths if os.path.isdir(path)]


def _mounts(mountinfo: str) -> Dict[str, Tuple[str, str]]:
    """`(root, mount point)` by controller; version 2 stands under the empty name."""
    found: Dict[str, Tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        where = (fields[3], fields[4].replace("\\040", " "))
        if kind[0] == "cgroup2":
            found.setdefault("", where)
        elif kind[0] == "cgroup":
            for option in kind[2].split(","):
                found.setdefault(option, where)
    return found


def _groups(cgroup: str) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for line in cgroup.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            for controller in fields[1].split(","):
                found[controller] = fields[2]
    return found


def _text(files: KernelFiles, path: str) -> str:
    return files.read(path).decode("utf-8", "replace").strip()
