"""Which run holds which GPU of this machine: one file per machine and user, changed under a lock."""

import fcntl
import os
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

from podops_runners import process, records
from podops_runners.rundir import RunDir
from podops_runners.runfiles import layout_of

#: A GPU with more memory in use than this belongs to somebody, bytes.
BUSY_MEMORY = 512 * 1024 * 1024

#: A claim may stand this long before its supervisor has written who it is, seconds.
_STARTING_S = 60.0


class NoGpuError(Exception):
    """Not enough free GPUs; the text says how many there are."""


def claims() -> Dict[int, str]:
    """Run id by GPU index, of the runs that still live."""
    return {index: claim["run_id"] for index, claim in _live(_load()).items()}


def claim(request: Dict[str, Any], run_dir: str, samples: List[Dict[str, Any]]) -> List[int]:
    """Claim GPUs for a run and return their indices.

    `request` is `{"count": n}`, `{"all": true}` or `{"indices": [...]}`; `samples` are the GPUs as the link shows
    them. Raises `NoGpuError`.
    """
    with _locked():
        held = _live(_load())
        chosen = _choose(request, samples, held)
        for index in chosen:
            held[index] = {"run_id": os.path.basename(run_dir), "run_dir": run_dir, "time": time.time()}
        records.write_record(_path(), {"claims": {str(index): entry for index, entry in held.items()}})
    return chosen


def release(run_dir: str) -> None:
    """Give back what a run holds."""
    with _locked():
        held = {index: entry for index, entry in _live(_load()).items() if entry["run_dir"] != run_dir}
        records.write_record(_path(), {"claims": {str(index): entry for index, entry in held.items()}})


def _choose(request: Dict[str, Any], samples: List[Dict[str, Any]], held: Dict[int, Any]) -> List[int]:
    every = [sample["index"] for sample in samples]
    free = [sample["index"] for sample in samples if sample["index"] not in held and _idle(sample)]
    wanted = every if request.get("all") else request.get("indices")
    if wanted is None:
        count = int(request.get("count") or 0)
        if count <= len(free):
            return free[:count]
        raise NoGpuError("{} GPUs are asked for, {} of {} are free".format(count, len(free), len(every)))
    busy = [index for index in wanted if index not in free]
    if busy or not wanted:
        names = ", ".join(str(index) for index in busy) or "none"
        raise NoGpuError("GPU {} not free ({} of {} are)".format(names, len(free), len(every)))
    return list(wanted)


def _idle(sample: Dict[str, Any]) -> bool:
    used = sample.get("memory_used_bytes")
    return not sample.get("error") and isinstance(used, int) and used < BUSY_MEMORY


def _live(entries: Dict[int, Dict[str, Any]]) -> Dict[int, Dict[str, Any]]:
    return {index: entry for index, entry in entries.items() if _holds(entry)}


def _holds(entry: Dict[str, Any]) -> bool:
    spec, _ = records.read_record(RunDir(entry["run_dir"]).spec)
    run = RunDir(entry["run_dir"], layout_of(spec))
    if os.path.exists(run.summary):
        return False
    stored, _ = records.read_record(run.claim)
    if stored is None:
        return bool(time.time() - entry["time"] < _STARTING_S)
    return process.is_alive(stored.get("supervisor")) or process.is_alive(stored.get("child"))


def _load() -> Dict[int, Dict[str, Any]]:
    record, _ = records.read_record(_path())
    entries = (record or {}).get("claims")
    found: Dict[int, Dict[str, Any]] = {}
    for key, entry in entries.items() if isinstance(entries, dict) else ():
        if key.isdigit() and isinstance(entry, dict) and isinstance(entry.get("run_dir"), str):
            found[int(key)] = {
                "run_id": str(entry.get("run_id")),
                "run_dir": entry["run_dir"],
                "time": float(entry.get("time") or 0.0),
            }
    return found


def _directory() -> str:
    path = "/tmp/podops-{}".format(os.getuid())
    os.makedirs(path, mode=0o700, exist_ok=True)
    if os.stat(path).st_uid != os.getuid():
        raise OSError("{} belongs to somebody else".format(path))
    return path


def _path() -> str:
    return os.path.join(_directory(), "gpus.json")


@contextmanager
def _locked() -> Iterator[None]:
    descriptor = os.open(os.path.join(_directory(), "gpus.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def visible_devices(indices: Optional[List[int]]) -> Dict[str, str]:
    """The environment that shows a run its GPUs, and no others."""
    return {} if indices is None else {"CUDA_VISIBLE_DEVICES": ",".join(str(index) for index in indices)}
