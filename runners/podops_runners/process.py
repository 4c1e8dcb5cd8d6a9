"""Processes as the kernel tells them: who one is, who belongs to a run, and how to signal them all.

A pid alone names nothing for long: an identity is pid, start time (clock ticks after boot) and boot id.
"""

import os
import signal
import time
from functools import lru_cache

from podops_runners.typed import Any, Dict, List, NamedTuple, Optional, Set

#: Linux's fixed inode number of the first process id namespace (`PROC_PID_INIT_INO`).
_INITIAL_PID_NAMESPACE = "4026531836"

_CHUNK = 1 << 16


class Identity(NamedTuple):
    pid: int
    start_ticks: int
    boot_id: str


@lru_cache(maxsize=None)
def boot_id() -> str:
    """An id of this boot; in a container also of its process ids, because a new container starts them anew."""
    boot = _read_text("/proc/sys/kernel/random/boot_id").strip()
    inside = _pid_namespace()
    return "{}.{}".format(boot, inside) if inside else boot


@lru_cache(maxsize=None)
def machine_id() -> str:
    """An id of this machine or container; the host name where `/etc/machine-id` is missing.

    Containers made from one image may share a machine id, so the host name is part of theirs.
    """
    stored = _read_text("/etc/machine-id").strip()
    name = os.uname().nodename
    return "{}.{}".format(stored, name) if stored and _pid_namespace() else stored or name


def _pid_namespace() -> str:
    """Which process ids we live among; empty for those of the machine itself."""
    try:
        name = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    number = name.partition("[")[2].rstrip("]")
    return "" if number in ("", _INITIAL_PID_NAMESPACE) else number


def start_ticks(pid: int) -> Optional[int]:
    """When `pid` started, in clock ticks after boot; `None` for no such process and for a zombie."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def identity(pid: int) -> Optional[Identity]:
    """Who `pid` is, also when it has just ended and nobody has reaped it; `None` for no such process."""
    fields = _stat_fields(pid)
    return None if fields is None else Identity(pid, int(fields[19]), boot_id())


def own_identity() -> Optional[Dict[str, Any]]:
    """Of this process, as it is stored."""
    found = identity(os.getpid())
    return None if found is None else found._asdict()


def since_boot() -> float:
    """Seconds since this machine came up, suspended ones too: the one clock that several processes share and nobody
    sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def age_s(identity: Identity) -> float:
    """How long ago a process of this boot was started, seconds."""
    return max(0.0, since_boot() - identity.start_ticks / os.sysconf("SC_CLK_TCK"))


def is_alive(record: Any) -> bool:
    """Whether the process described by a stored identity (`{"pid", "start_ticks", "boot_id"}`) still runs here."""
    if not isinstance(record, dict):
        return False
    pid, ticks = record.get("pid"), record.get("start_ticks")
    if not isinstance(pid, int) or not isinstance(ticks, int) or record.get("boot_id") != boot_id():
        return False
    return start_ticks(pid) == ticks


def run_tree(root: Optional[int], run_dir: str) -> Set[int]:
    """Living processes of a run: descendants of `root`, and whoever carries its `OPS_RUN_DIR` in the environment.

    The second finds grandchildren that left the process group or whose parent has died.
    """
    parents: Dict[int, int] = {}
    marked: Set[int] = set()
    needle = b"\0OPS_RUN_DIR=" + os.fsencode(run_dir) + b"\0"
    for pid in all_pids():
        fields = _stat_fields(pid)
        if fields is None or fields[0] in ("Z", "X"):
            continue
        parents[pid] = int(fields[1])
        if needle in b"\0" + _read_bytes("/proc/{}/environ".format(pid)) + b"\0":
            marked.add(pid)
    tree = set(marked)
    if root is not None and root in parents:
        tree.add(root)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in tree} - tree
        tree |= more
        grown = bool(more)
    return tree - {os.getpid()}


def signal_all(pids: Set[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def signal_group(pgid: int, number: int) -> None:
    if pgid <= 1:
        return  # 0 is our own group, 1 is everybody's
    try:
        os.killpg(pgid, number)
    except OSError:
        pass


def parent(pid: int) -> Optional[int]:
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[1])


def environment(pid: int, name: str) -> Optional[str]:
    """What `pid` was started with as `name`; `None` when it was not, or when its environment is not ours to read."""
    start = os.fsencode(name) + b"="
    for entry in _read_bytes("/proc/{}/environ".format(pid)).split(b"\0"):
        if entry.startswith(start):
            return os.fsdecode(entry[len(start) :])
    return None


def command_name(pid: int) -> str:
    return _read_text("/proc/{}/comm".format(pid)).strip()


def become_subreaper() -> bool:
    """Make orphaned descendants our children (Linux `PR_SET_CHILD_SUBREAPER`), so that they stay findable."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError, ImportError):
        return False


def give_back_memory() -> None:
    """Return to the system what is not in use any more: modules that had to be compiled leave about a megabyte."""
    try:
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, ImportError):
        pass  # another C library than glibc


def signal_at_end_of_parent(number: int) -> bool:
    """Have the kernel send us `number` when the process that forked us ends (Linux `PR_SET_PDEATHSIG`)."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None, use_errno=True).prctl(1, number, 0, 0, 0) == 0)
    except (OSError, AttributeError, ImportError):
        return False


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal {}".format(number)


def all_pids() -> List[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _stat_fields(pid: int) -> Optional[List[str]]:
    # The command name stands in parentheses and may itself hold spaces and parentheses.
    text = _read_text("/proc/{}/stat".format(pid))
    _, bracket, rest = text.rpartition(")")
    fields = rest.split()
    return fields if bracket and len(fields) > 20 else None


def _read_bytes(path: str) -> bytes:
    # Without a file object, which takes four times as long: this is done for every run, twice a second.
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        data = more = os.read(descriptor, _CHUNK)
        while more:
            more = os.read(descriptor, _CHUNK)
            data += more
        return data
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _read_text(path: str) -> str:
    return _read_bytes(path).decode("utf-8", "replace")
