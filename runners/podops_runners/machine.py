"""What belongs to this machine and user, whichever project it is for: one directory, its locks, the outputs roots."""

import fcntl
import os
import time
from contextlib import contextmanager
from functools import partial

from podops_runners import apart, records
from podops_runners.rundir import Layout
from podops_runners.runfiles import layout_of
from podops_runners.typed import Any, Dict, Iterator, List, NamedTuple, Optional

#: Where it lies instead of `/tmp/podops-<uid>`.
STATE_DIR_VARIABLE = "PODOPS_STATE_DIR"

#: What counts as in use where the project does not say, bytes.
BUSY_MEMORY = 512 * 1024 * 1024

#: A root nobody has asked about for so long is forgotten when it does not exist either, seconds.
_FORGET_S = 7 * 86400.0

#: Whether such a root exists must be told within this time; otherwise it is kept, seconds.
_ANSWER_S = 1.0


def directory() -> str:
    """The directory, made when missing. Raises `OSError` when it belongs to somebody else."""
    path = os.environ.get(STATE_DIR_VARIABLE) or "/tmp/podops-{}".format(os.getuid())
    try:
        found = os.stat(path)
    except FileNotFoundError:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
    if found.st_uid != os.getuid():
        raise OSError("{} belongs to somebody else".format(path))
    return path


def path_of(name: str) -> str:
    return os.path.join(directory(), name)


@contextmanager
def locked(name: str, shared: bool = False) -> Iterator[None]:
    """Hold the lock `name`, with others who hold it `shared`; waits for it. A process that dies lets go of it."""
    descriptor = _open_lock(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def take_lock(name: str) -> Optional[int]:
    """The descriptor that holds the lock for as long as it is open; `None` when another process holds it."""
    descriptor = _open_lock(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _open_lock(name: str) -> int:
    return os.open(path_of(name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


class Root(NamedTuple):
    """One outputs root this machine has been asked about, as the last client described it."""

    outputs_dir: str
    project: str = ""
    pod: str = ""
    layout: Layout = Layout()
    #: The tmux socket its sessions are on; `None` where the project does without tmux.
    socket: Optional[str] = "podops"
    simulate_gpus: int = 0
    #: A GPU with more memory in use belongs to somebody, bytes.
    busy_memory: int = BUSY_MEMORY
    #: When it was asked about last, Unix time, to the second.
    told_at: float = 0.0


def register_root(root: Root) -> None:
    """Remember an outputs root, so that the agent looks after it. Raises `OSError`."""
    with locked("roots"):
        stored = _stored_roots()
        entry = {
            "project": root.project,
            "pod": root.pod,
            "layout": root.layout._asdict(),
            "socket": root.socket,
            "simulate_gpus": root.simulate_gpus,
            "busy_memory": root.busy_memory,
        }
        known, now = stored.get(root.outputs_dir), time.time()
        if known is not None and {name: known.get(name) for name in entry} == entry:
            if abs(now - (records.number(known.get("time")) or 0.0)) >= 1.0:
                known["time"] = now
                records.write_record(path_of("roots.json"), {"roots": stored}, durable=False)
            return
        kept = {
            path: old
            for path, old in stored.items()
            if now - (records.number(old.get("time")) or 0.0) < _FORGET_S
            or apart.asked(partial(os.path.isdir, path), _ANSWER_S) is not False
        }
        kept[root.outputs_dir] = dict(entry, time=now)
        records.write_record(path_of("roots.json"), {"roots": kept})


def roots() -> List[Root]:
    """Every root there is; empty after a reboot until somebody asks again."""
    found = []
    for path, entry in _stored_roots().items():
        socket = entry.get("socket")
        simulate, busy = entry.get("simulate_gpus"), entry.get("busy_memory")
        found.append(
            Root(
                path,
                str(entry.get("project") or ""),
                str(entry.get("pod") or ""),
                layout_of(entry),
                socket if isinstance(socket, str) else None,
                simulate if isinstance(simulate, int) else 0,
                busy if isinstance(busy, int) else BUSY_MEMORY,
                records.number(entry.get("time")) or 0.0,
            )
        )
    return found


def _stored_roots() -> Dict[str, Dict[str, Any]]:
    record, _ = records.read_record(path_of("roots.json"))
    stored = (record or {}).get("roots")
    if not isinstance(stored, dict):
        return {}
    return {path: entry for path, entry in stored.items() if os.path.isabs(path) and isinstance(entry, dict)}


def wake_agent() -> None:
    """Tell the agent that something has changed; it looks within moments."""
    try:
        with open(path_of("wake"), "wb") as stream:
            stream.write(b"%d\n" % time.time())
    except OSError:
        pass
