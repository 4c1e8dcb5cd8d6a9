"""The TCP ports of this machine: which are taken and by whom, which are free, which our runs will listen on soon."""

import errno
import os
import time
import zlib

from podops_runners import machine, process, records
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, Optional, Tuple, Union

#: Where a free port is looked for: above what people choose by hand, below what the kernel gives to clients.
_FIRST, _LAST = 20000, 32000

_LOCK = "ports"
_RECORD = "ports.json"

#: State `LISTEN` in /proc/net/tcp.
_LISTEN = "0A"


class PortTaken(Exception):
    """The port a run should listen on is not free; the text says who has it, `evidence` the same as fields."""

    def __init__(self, message: str, evidence: Dict[str, Any]) -> None:
        super().__init__(message)
        self.evidence = evidence


def reserve(run: RunDir, wanted: Union[int, str], before: Optional[int] = None, patience_s: float = 0.0) -> int:
    """The port the run may listen on, no other run's from now until `release` or its end.

    With `auto` a free one, preferably the one it had `before`. A port that is taken may come free for `patience_s`
    seconds: that of a process that is just dying. Raises `PortTaken`.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with machine.locked(_LOCK):
                return _reserved(run, wanted, before)
        except PortTaken:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.1)


def release(run: RunDir) -> None:
    """Let go of whatever port the run has reserved. Raises `OSError`."""
    with machine.locked(_LOCK):
        kept = _reservations()
        mine = [port for port, entry in kept.items() if entry["run"] == run.path]
        for port in mine:
            del kept[port]
        if mine:
            records.write_record(machine.path_of(_RECORD), {"ports": kept}, durable=False)


def is_taken(port: int) -> bool:
    """Whether anybody listens on this port, on whatever address of the machine."""
    import socket

    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family) as probe:
                # Connections that linger from before are no listener.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
    return False


def holder(port: int) -> Optional[Tuple[int, str]]:
    """`(pid, command name)` of a process that listens on `port`, as far as we may see it."""
    sockets = {"socket:[{}]".format(inode) for inode in _listening_inodes(port)}
    for pid in process.all_pids() if sockets else ():
        folder = "/proc/{}/fd".format(pid)
        try:
            for name in os.listdir(folder):
                if os.readlink(os.path.join(folder, name)) in sockets:
                    return pid, process.command_name(pid)
        except OSError:
            continue
    return None


def _reserved(run: RunDir, wanted: Union[int, str], before: Optional[int]) -> int:
    others = {port: entry for port, entry in _reservations().items() if entry["run"] != run.path}
    port = wanted if isinstance(wanted, int) else _free_port(run, others, before)
    entry = others.get(str(port))
    if entry is not None:
        name = os.path.basename(entry["run"])
        raise PortTaken("port {} belongs to run {}".format(port, name), {"port": port, "run": name})
    if is_taken(port):
        raise _taken(port)
    kept = dict(others)
    kept[str(port)] = {"run": run.path, "summary": run.summary}
    records.write_record(machine.path_of(_RECORD), {"ports": kept}, durable=False)
    return port


def _taken(port: int) -> PortTaken:
    found = holder(port)
    evidence: Dict[str, Any] = {"port": port}
    if found is None:
        return PortTaken("port {} is in use by another process of this pod".format(port), evidence)
    evidence.update(pid=found[0], process=found[1])
    return PortTaken("port {} is in use by {} (pid {})".format(port, found[1] or "another process", found[0]), evidence)


def _free_port(run: RunDir, others: Dict[str, Any], before: Optional[int]) -> int:
    """Looked for from a place of the run's own, so that a run that comes back seldom finds another in its place."""
    start, span = zlib.crc32(run.path.encode("utf-8", "surrogateescape")), _LAST - _FIRST
    candidates = ([] if before is None else [before]) + [_FIRST + (start + step) % span for step in range(span)]
    for port in candidates:
        if str(port) not in others and not is_taken(port):
            return port
    raise PortTaken("every port from {} to {} is taken".format(_FIRST, _LAST), {"port": "auto"})


def _reservations() -> Dict[str, Dict[str, str]]:
    """Those of runs that have not ended."""
    record, _ = records.read_record(machine.path_of(_RECORD))
    stored = (record or {}).get("ports")
    found: Dict[str, Dict[str, str]] = {}
    for port, entry in stored.items() if isinstance(stored, dict) else ():
        run, summary = (entry.get(name) if isinstance(entry, dict) else None for name in ("run", "summary"))
        if isinstance(run, str) and isinstance(summary, str) and os.path.isdir(run) and not os.path.exists(summary):
            found[port] = {"run": run, "summary": summary}
    return found


def _listening_inodes(port: int) -> List[str]:
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as stream:
                lines = stream.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(fields[9])
    return found
