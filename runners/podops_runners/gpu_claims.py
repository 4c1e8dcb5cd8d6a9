"""Which run holds which GPU of this machine: one file per machine and user, changed under a lock.

A claim stands until its run has a summary. It stands, too, while any process of the run lives, whatever has become of
the volume its directory is on.
"""

import os
import time
from functools import partial

from podops_runners import apart, machine, process, records
from podops_runners.order import Gpus
from podops_runners.rundir import RunDir
from podops_runners.runfiles import layout_of
from podops_runners.typed import Any, Dict, FrozenSet, Iterable, List, Optional, Sequence

_LOCK = "gpus"

#: A run's directory has so long to tell whether the run is over, seconds.
_ANSWER_S = 1.0

#: A start is believed to be under way for so long; after that the run's directory is asked, seconds.
_STARTING_S = 30.0

Entry = Dict[str, Any]


def claims(simulated: bool = False) -> Dict[int, str]:
    """Run id by GPU index, of the runs that still hold one. Raises `OSError`."""
    stored = _load(simulated)
    over = _dead(stored)
    return {index: entry["run_id"] for index, entry in stored.items() if entry not in over}


def run_dirs(simulated: bool, dead: Sequence[Entry]) -> FrozenSet[str]:
    """The directories of the runs that hold GPUs, but for claims that are `dead`. Raises `OSError`."""
    return frozenset(entry["run_dir"] for entry in _live(simulated, dead).values())


def dead(simulated: bool) -> List[Entry]:
    """The claims of runs that are over.

    What the run's directory says is asked apart, and not under a lock: where its volume hangs, the claim stands. Raises
    `OSError`.
    """
    return _dead(_load(simulated))


def _dead(stored: Dict[int, Entry]) -> List[Entry]:
    doubtful = [entry for entry in stored.values() if not _is_worked_on(entry)]
    found: List[Entry] = []
    for entry in doubtful:
        if entry not in found and apart.asked(partial(_holds, entry), _ANSWER_S) is False:
            found.append(entry)
    return found


def claim(
    indices: Iterable[int],
    run_dir: str,
    simulated: bool = False,
    by: Optional[Dict[str, Any]] = None,
    dead_ones: Optional[Sequence[Entry]] = None,
) -> None:
    """Claim these GPUs for a run that `by`, else this process, starts; `dead_ones` are the claims known to be dead.

    Raises `ValueError` when one of them is held by another run, else `OSError`.
    """
    entry = _entry(run_dir, [], by or process.own_identity())
    over = dead(simulated) if dead_ones is None else dead_ones
    with machine.locked(_LOCK):
        held = _live(simulated, over)
        for index in indices:
            if index in held and held[index]["run_dir"] != run_dir:
                raise ValueError("GPU {} is held by {}".format(index, held[index]["run_id"]))
            held[index] = entry
        _store(held, simulated)


def confirm(
    indices: Iterable[int], run_dir: str, owners: List[Optional[Dict[str, Any]]], simulated: bool = False
) -> None:
    """Tell which processes hold the claim of a run, as stored identities. Raises `OSError`.

    A claim that has been cleared away is made again, unless another run was given the GPU meanwhile.
    """
    mine = _entry(run_dir, [owner for owner in owners if owner is not None])
    with machine.locked(_LOCK):
        held = _load(simulated)
        changed = False
        for index in indices:
            entry = held.get(index)
            if (entry is None or entry["run_dir"] == run_dir) and entry != mine:
                held[index], changed = mine, True
        if changed:
            _store(held, simulated)


def release(run_dir: str) -> None:
    """Give back what a run holds. Raises `OSError`."""
    _change(run_dir, lambda _: None)


def give_back(run_dir: str) -> None:
    """Give back what was claimed for a run that this process was to start, and did not. Raises `OSError`."""
    me = process.own_identity()
    _change(run_dir, lambda entry: None if entry["by"] == me and not entry["owners"] else entry)


def seen(samples: List[Dict[str, Any]], busy_memory: int, simulated: bool, dead: Sequence[Entry]) -> Gpus:
    """The GPUs as the queue needs them: which there are, which runs of ours hold, which others use."""
    every = frozenset(sample["index"] for sample in samples)
    ours = frozenset(_live(simulated, dead)) & every
    foreign = frozenset(sample["index"] for sample in samples if not simulated and not _idle(sample, busy_memory))
    return Gpus(every, ours, foreign - ours)


def _change(run_dir: str, change: Any) -> None:
    with machine.locked(_LOCK):
        for simulated in (False, True):
            held = _load(simulated)
            mine = [index for index, entry in held.items() if entry["run_dir"] == run_dir]
            for index in mine:
                entry = change(held.pop(index))
                if entry is not None:
                    held[index] = entry
            if mine:
                _store(held, simulated)


def _entry(run_dir: str, owners: List[Dict[str, Any]], by: Optional[Dict[str, Any]] = None) -> Entry:
    """`by` is who starts the run; once it runs, its `owners` hold the claim."""
    # The time, as a run may be started again by the one that started it before.
    since = {"time": time.time()} if by else {}
    return dict(since, run_id=os.path.basename(run_dir), run_dir=run_dir, by=by, owners=owners)


def _idle(sample: Dict[str, Any], busy_memory: int) -> bool:
    used = sample.get("memory_used_bytes")
    return not sample.get("error") and isinstance(used, int) and used <= busy_memory


def _live(simulated: bool, dead: Sequence[Entry]) -> Dict[int, Entry]:
    return {index: entry for index, entry in _load(simulated).items() if entry not in dead}


def _is_worked_on(entry: Entry) -> bool:
    """Whether processes tell that the claim stands: those of the run, or the one that is starting it."""
    if entry["owners"]:
        return any(process.is_alive(one) for one in entry["owners"])
    # Who starts runs lives on, also where nobody tells any more of this one.
    begun = records.number(entry.get("time"))
    return process.is_alive(entry["by"]) and begun is not None and abs(time.time() - begun) < _STARTING_S


def _holds(entry: Entry) -> bool:
    """Whether the run's directory tells so."""
    spec, _ = records.read_record(RunDir(entry["run_dir"]).spec)
    run = RunDir(entry["run_dir"], layout_of(spec))
    if os.path.exists(run.summary):
        return False
    stored, _ = records.read_record(run.claim)
    # Without a summary somebody will take the run over, and it may need its GPUs for another attempt.
    return stored is not None and bool(stored.get("boot_id") == process.boot_id())


def _load(simulated: bool) -> Dict[int, Entry]:
    record, _ = records.read_record(_path(simulated))
    entries = (record or {}).get("claims")
    found: Dict[int, Entry] = {}
    for key, entry in entries.items() if isinstance(entries, dict) else ():
        if key.isdigit() and isinstance(entry, dict) and isinstance(entry.get("run_dir"), str):
            owners = entry.get("owners")
            found[int(key)] = dict(
                entry,
                run_id=str(entry.get("run_id")),
                by=entry.get("by"),
                owners=owners if isinstance(owners, list) else [],
            )
    return found


def _store(held: Dict[int, Entry], simulated: bool) -> None:
    records.write_record(_path(simulated), {"claims": {str(index): entry for index, entry in held.items()}})


def _path(simulated: bool) -> str:
    return machine.path_of("gpus-simulated.json" if simulated else "gpus.json")


def visible_devices(indices: Iterable[int]) -> Dict[str, str]:
    """The environment that shows a run its GPUs, and no others; empty for a run that claims none."""
    chosen: FrozenSet[int] = frozenset(indices)
    return {"CUDA_VISIBLE_DEVICES": ",".join(str(index) for index in sorted(chosen))} if chosen else {}
