"""The pod itself: facts that stay, and one sample of what changes."""

import os
import platform
import subprocess
import time
from typing import Any, Dict, List, Optional, Tuple

from podops_runners import process, tmux


def host_info() -> Dict[str, Any]:
    """HostInfo in its wire form."""
    return {
        "hostname": os.uname().nodename,
        "os": _os_name(),
        "python": platform.python_version(),
        "tmux": _tmux_version(),
        "user": _user(),
        "cpu_count": os.cpu_count() or 0,
        "boot_id": process.boot_id(),
        "machine_id": process.machine_id(),
    }


class HostSampler:
    """Keeps the last CPU times, because a share needs two looks."""

    def __init__(self, directories: List[str]) -> None:
        self._directories = ["/"] + [path for path in directories if path != "/"]
        self._cpu = _cpu_times()

    def sample(self) -> Dict[str, Any]:
        """HostSample in its wire form."""
        memory = _memory()
        return {
            "time": time.time(),
            "cpu_percent": self._cpu_percent(),
            "load1": _load1(),
            "memory_used_bytes": memory[0],
            "memory_total_bytes": memory[1],
            "disks": [disk for disk in map(_disk, self._directories) if disk],
        }

    def _cpu_percent(self) -> Optional[float]:
        before, self._cpu = self._cpu, _cpu_times()
        if before is None or self._cpu is None:
            return None
        total = self._cpu[1] - before[1]
        return round(100.0 * (self._cpu[0] - before[0]) / total, 1) if total > 0 else None


def _cpu_times() -> Optional[Tuple[int, int]]:
    """`(busy, total)` ticks of all cores since boot."""
    line = _first_line("/proc/stat").split()
    if len(line) < 6 or line[0] != "cpu":
        return None
    ticks = [int(field) for field in line[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _memory() -> Tuple[Optional[int], Optional[int]]:
    facts = {}
    try:
        with open("/proc/meminfo") as stream:
            for line in stream:
                name, _, rest = line.partition(":")
                facts[name] = int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return None, None
    total, available = facts.get("MemTotal"), facts.get("MemAvailable")
    return (total - available, total) if total is not None and available is not None else (None, total)


def _disk(path: str) -> Optional[Dict[str, Any]]:
    try:
        info = os.statvfs(path)
    except OSError:
        return None
    size = info.f_frsize
    used = (info.f_blocks - info.f_bfree) * size
    return {"path": path, "used_bytes": used, "total_bytes": used + info.f_bavail * size}


def _load1() -> Optional[float]:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _os_name() -> str:
    try:
        with open("/etc/os-release") as stream:
            for line in stream:
                if line.startswith("PRETTY_NAME="):
                    return line.split("=", 1)[1].strip().strip('"')
    except OSError:
        pass
    return platform.system()


def _tmux_version() -> Optional[str]:
    program = tmux.available()
    if program is None:
        return None
    try:
        said = subprocess.run([program, "-V"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.decode("utf-8", "replace").replace("tmux", "").strip() or None


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _first_line(path: str) -> str:
    try:
        with open(path) as stream:
            return stream.readline()
    except OSError:
        return ""
