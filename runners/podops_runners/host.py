"""What changes on the pod itself, as one sample."""

import os
import time

from podops_runners.container import ContainerLimits
from podops_runners.kernel_files import KernelFiles
from podops_runners.network import traffic
from podops_runners.outputs_root import cannot_be_made, may_be_made
from podops_runners.patient import Patient
from podops_runners.typed import Any, Dict, List, Optional, Set, Tuple

#: How long a sample waits for a disk, seconds.
_DISK_WAIT_S = 1.0

#: A disk that is well answers within this time, seconds.
_AT_ONCE_S = 0.2


class HostSampler:
    """Keeps the last counters, because a rate needs two looks."""

    def __init__(self, directories: List[str]) -> None:
        self._disks = _Disks(list(dict.fromkeys(["/", *directories])))
        self._files = KernelFiles()
        self._container = ContainerLimits(self._files)
        self._cores = _cores()
        self._names = {b"cpu%d" % core for core in self._cores}
        self._time = time.monotonic()
        self._cpu = _cpu_times(self._files.read("/proc/stat"), self._names)
        self._cpu_limit = self._container.cpu()
        self._traffic = traffic(self._files)

    def sample(self) -> Dict[str, Any]:
        """HostSample in its wire form."""
        before, self._time = self._time, time.monotonic()
        passed = self._time - before
        used, total, scope = self._memory()
        received, sent = self._network(passed)
        cpu_percent, cores = self._processors(passed)
        return {
            "time": time.time(),
            "cpu_percent": cpu_percent,
            "cpu_cores": cores,
            "load1": _load1(),
            "memory_used_bytes": used,
            "memory_total_bytes": total,
            "memory_scope": scope,
            "network_received_bytes_per_s": received,
            "network_sent_bytes_per_s": sent,
            "disks": self._disks.usage(),
        }

    def _processors(self, passed: float) -> Tuple[Optional[float], float]:
        """How busy, in percent, and of how many cores: a container's own quota, else the cores we may run on."""
        times, limit = _cpu_times(self._files.read("/proc/stat"), self._names), self._container.cpu()
        before, self._cpu = self._cpu, times
        limit_before, self._cpu_limit = self._cpu_limit, limit
        cores = float(len(self._cores))
        # A quota whose use nobody counts is left out: the share and the cores must speak of the same thing.
        if limit is not None and limit.cores < cores and limit.used_s is not None:
            used_before = limit_before.used_s if limit_before else None
            used = None if used_before is None else _percent(limit.used_s - used_before, passed * limit.cores)
            return used, round(limit.cores, 2)
        if before is None or times is None:
            return None, cores
        return _percent(times[0] - before[0], times[1] - before[1]), cores

    def _memory(self) -> Tuple[Optional[int], Optional[int], str]:
        """Used, total, and whose: `container` under a limit smaller than the machine, else `machine`."""
        used, total = _memory(self._files.read("/proc/meminfo"))
        limit = self._container.memory()
        if limit is not None and (total is None or limit.limit_bytes < total):
            return limit.used_bytes, limit.limit_bytes, "container"
        return used, total, "machine"

    def _network(self, passed: float) -> Tuple[Optional[float], Optional[float]]:
        before, self._traffic = self._traffic, traffic(self._files)
        if before is None or self._traffic is None:
            return None, None
        received, sent = self._traffic.received - before.received, self._traffic.sent - before.sent
        return _rate(received, passed), _rate(sent, passed)


class _Disks:
    """A mount that hangs (a stale NFS handle) costs its own line, and neither the samples nor another disk."""

    def __init__(self, paths: List[str]) -> None:
        self._paths = paths
        # Asked together by one thread as long as all answer at once, else each by its own.
        self._together: Patient[List[Dict[str, Any]]] = Patient(lambda: [_disk(path) for path in paths])
        self._apart: List[_Disk] = []

    def usage(self) -> List[Dict[str, Any]]:
        """DiskUsage in its wire form, of each path."""
        found = None if self._apart else self._together.answer(_AT_ONCE_S)
        if found is not None:
            return found
        self._apart = self._apart or [_Disk(path) for path in self._paths]
        return [disk.usage() for disk in self._apart]


class _Disk:
    """One that is asked by itself."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._look: Patient[Dict[str, Any]] = Patient(lambda: _disk(path))

    def usage(self) -> Dict[str, Any]:
        # Once it hangs, it is only looked at in passing.
        found = self._look.answer(0.0 if self._look.waiting_s() else _DISK_WAIT_S)
        return found or _no_disk(self._path, "does not answer for {:.0f} s".format(self._look.waiting_s()))


def _percent(part: float, whole: float) -> Optional[float]:
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 1) if whole > 0 else None


def _rate(count: int, seconds: float) -> Optional[float]:
    # A counter that went back belongs to an interface that was set up anew.
    return round(count / seconds, 1) if count >= 0 and seconds > 0 else None


def _cores() -> Set[int]:
    """The cores this process may be scheduled on."""
    try:
        return os.sched_getaffinity(0)
    except (AttributeError, OSError):
        return set(range(os.cpu_count() or 1))


def _cpu_times(stat: bytes, names: Set[bytes]) -> Optional[Tuple[int, int]]:
    """`(busy, total)` ticks since boot of the cores of these names."""
    busy = total = 0
    try:
        for line in stat.split(b"\n"):
            if not line.startswith(b"cpu"):
                break  # the cores stand first; what follows is long
            fields = line.split(None, 9)
            if fields[0] in names:
                ticks = [int(field) for field in fields[1:9]]
                total += sum(ticks)
                busy += sum(ticks) - ticks[3] - ticks[4]
    except (ValueError, IndexError):
        return None
    return (busy, total) if total else None


def _memory(meminfo: bytes) -> Tuple[Optional[int], Optional[int]]:
    """`(used, total)`, bytes."""
    total, available = _kib(meminfo, b"MemTotal:"), _kib(meminfo, b"MemAvailable:")
    return (total - available, total) if total is not None and available is not None else (None, total)


def _kib(meminfo: bytes, name: bytes) -> Optional[int]:
    start = meminfo.find(name)
    words = meminfo[start + len(name) : start + len(name) + 40].split(None, 1) if start >= 0 else []
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _disk(path: str) -> Dict[str, Any]:
    try:
        info = os.statvfs(path)
    except FileNotFoundError as error:
        return _no_disk(path, "{}{}".format(error.strerror, _becomes_of(path)))
    except OSError as error:
        return _no_disk(path, error.strerror or str(error))
    used = (info.f_blocks - info.f_bfree) * info.f_frsize
    total = used + info.f_bavail * info.f_frsize
    read_only = bool(info.f_flag & os.ST_RDONLY)
    return {"path": path, "used_bytes": used, "total_bytes": total, "read_only": read_only, "error": ""}


def _becomes_of(root: str) -> str:
    """What a submit does about a missing outputs root; empty where it is refused as long as no volume is mounted."""
    if not may_be_made(root):
        return ""
    in_the_way = cannot_be_made(root)
    return ", and it cannot be made: {}".format(in_the_way) if in_the_way else ": a submit makes it"


def _no_disk(path: str, error: str) -> Dict[str, Any]:
    return {"path": path, "used_bytes": 0, "total_bytes": 0, "read_only": False, "error": error}


def _load1() -> Optional[float]:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
