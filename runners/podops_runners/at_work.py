"""Which runs are at work on this machine, told beside their directories: one of them may be removed under its run.

Such a run goes on, but nothing in its place tells of it any more; by this it can still be seen and ended. A file for
each run in the machine's directory, written by its supervisor at each start and taken away at its end.
"""

import os
import signal
import time
import zlib

from podops_runners import gpu_claims, machine, process, records, states
from podops_runners.run_trouble import words
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, Optional, Tuple

_PREFIX, _KILL = "at-work-", "end-of-"

#: What `run_ids` has read: folder and run id by the name of the file.
_run_dirs: Dict[str, Tuple[str, str]] = {}

_GONE = "its directory is gone, removed or with its volume"

#: Said of a run that nothing else tells of.
GONE = _GONE + "; it goes on unrecorded until it ends or is killed"

_LONG = 4000


def note(run: RunDir, spec: Dict[str, Any], claim: Dict[str, Any]) -> None:
    """Tell that this run has started. Never raises: it is for a rare case only."""
    record = {name: spec.get(name) for name in ("project", "preset", "kind", "created_at", "user", "tags")}
    record.update({name: claim.get(name) for name in ("supervisor", "shim", "child", "started", "gpus", "attempt")})
    record.update(run_dir=run.path, command=str(spec.get("command") or "")[:_LONG])
    try:
        forget(run.path)
        records.write_record(_path(run.path), record, durable=False)
    except OSError:
        pass


def note_end(run_dir: str, end: str, trouble: str = "") -> None:
    """Tell how a run has ended of which that cannot be recorded where it belongs, and what its volume says.

    Never raises.
    """
    record = records.read_record(_path(run_dir))[0]
    if record is None or (record.get("end"), record.get("trouble")) == (end, trouble):
        return
    try:
        records.write_record(_path(run_dir), dict(record, end=end, trouble=trouble), durable=False)
    except OSError:
        pass


def end_of(run_dir: str) -> str:
    """How a run has ended of which that could not be recorded; empty while nobody knows of an end."""
    return str((records.read_record(_path(run_dir))[0] or {}).get("end") or "")


def trouble_of(run_dir: str) -> Optional[str]:
    """What is to be said of a run whose directory is there and whose end cannot be recorded in it."""
    record = records.read_record(_path(run_dir))[0] or {}
    return words(str(record["trouble"]), str(record.get("end") or "")) if record.get("trouble") else None


def is_known(run_dir: str) -> bool:
    """Whether it is told of here at all."""
    return os.path.exists(_path(run_dir))


def gone(run_dir: str) -> str:
    """What is to be said of a run without a directory on which nothing works, or which has ended."""
    end = end_of(run_dir)
    if end:
        return "{}; {}, which is recorded if it comes back".format(_GONE, end)
    return "{}, and nothing works on it here any more".format(_GONE)


def forget(run_dir: str) -> None:
    """It has ended. Never raises."""
    for prefix in (_PREFIX, _KILL):
        try:
            os.unlink(_path(run_dir, prefix))
        except OSError:
            pass


def run_ids(outputs_dir: str) -> List[str]:
    """The runs under `outputs_dir` that are told to be at work; some may have ended without a word."""
    try:
        names = {name for name in os.listdir(machine.directory()) if name.startswith(_PREFIX)}
    except OSError:
        return []
    # Read once each, as this is asked every second: a run keeps its name.
    for name in names - set(_run_dirs):
        record = records.read_record(machine.path_of(name))[0] or {}
        _run_dirs[name] = os.path.split(str(record.get("run_dir") or ""))
    for name in set(_run_dirs) - names:
        del _run_dirs[name]
    return [run_id for folder, run_id in _run_dirs.values() if folder == outputs_dir]


def lives_on(run_dir: str) -> bool:
    """Whether a run `is_lost`, and goes on. What has ended is forgotten."""
    record = records.read_record(_path(run_dir))[0] or {}
    alive = any(process.is_alive(record.get(name)) for name in ("supervisor", "child"))
    if not alive and os.path.isdir(os.path.dirname(run_dir)) and not os.path.exists(run_dir):
        forget(run_dir)
    return alive and is_lost(run_dir)


def is_lost(run_dir: str) -> bool:
    """Whether a run was at work there whose records are not there any more."""
    return os.path.exists(_path(run_dir)) and not os.path.exists(RunDir(run_dir).claim)


def told(run_dir: str) -> Dict[str, Any]:
    """A run that `is_lost` in its wire form."""
    return _wire(os.path.basename(run_dir), records.read_record(_path(run_dir))[0] or {"run_dir": run_dir})


def end(run_dir: str, grace_s: Optional[float], by: str) -> Dict[str, Any]:
    """End a run that `is_lost`, as `kill.request_kill` ends others. Raises `OSError`."""
    record = records.read_record(_path(run_dir))[0] or {}
    supervisor = record.get("supervisor")
    if process.is_alive(supervisor):
        request = {"time": time.time(), "grace_s": grace_s, "by": by}
        records.write_record(_path(run_dir, _KILL), request, durable=False)
        os.kill(supervisor["pid"], signal.SIGUSR1)  # type: ignore[index]
    else:
        from podops_runners.stop import kill_tree

        child = record.get("child")
        kill_tree(child["pid"] if process.is_alive(child) else None, run_dir)  # type: ignore[index]
        gpu_claims.release(run_dir)
        forget(run_dir)
    return {"state": states.STOPPING, "ended": False}


def kill_request(run: RunDir) -> Optional[Dict[str, Any]]:
    """What asks this run to end, where such requests lie, or here when there is no such place any more."""
    request, _ = records.read_record(run.kill_request)
    try:
        return request if request is not None else records.read_record(_path(run.path, _KILL))[0]
    except OSError:  # no machine directory
        return None


def _path(run_dir: str, prefix: str = _PREFIX) -> str:
    return machine.path_of("{}{:08x}.json".format(prefix, zlib.crc32(os.fsencode(run_dir))))


def _wire(run_id: str, record: Dict[str, Any]) -> Dict[str, Any]:
    from podops_runners.record_facts import moment

    started = records.number(record.get("started"))
    ending = os.path.exists(_path(str(record["run_dir"]), _KILL))
    return dict(
        {
            name: record.get(name)
            for name in ("project", "preset", "kind", "user", "tags", "command", "gpus", "attempt")
        },
        run_id=run_id,
        run_dir=record["run_dir"],
        state=states.STOPPING if ending else states.RUNNING,
        owned=True,
        created_at=moment(record.get("created_at")),
        started_at=started,
        elapsed_s=None if started is None else max(0.0, time.time() - started),
        problems=[gone(str(record["run_dir"])) if record.get("end") else GONE],
    )
