"""A waiting run on its way to another pod: `.ops/moving.json`, written before the other pod is asked to take it.

While it is there the run starts nowhere from here. The other pod accepts the run under the note's `id`, once however
often it is asked; when it has, the run is removed here. So whatever dies on the way, the run can start on one pod only,
and the same move done again finishes it.
"""

import os

from podops_runners import answers, records
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, Optional

_GRAVE = ".moved-"


def of(run: RunDir) -> Optional[Dict[str, str]]:
    """Where it goes (`to`) and under which `id`; `None` when it stays."""
    record, problem = records.read_record(run.moving)
    if record is None and problem is None:
        return None
    told = record or {}
    return {"to": str(told.get("to") or "?"), "id": str(told.get("id") or "")}


def set_out(run: RunDir, wanted: Any) -> Optional[Dict[str, str]]:
    """Note where it goes, unless it is noted already; the note. `None` for one that cannot be. Raises `OSError`."""
    known = of(run)
    if known is not None:
        return known
    target = wanted.get("to") if isinstance(wanted, dict) else None
    move_id = answers.valid_id(wanted.get("id")) if isinstance(wanted, dict) else None
    if not isinstance(target, str) or not target or move_id is None:
        return None
    records.write_record(run.moving, {"to": target, "id": move_id})
    return {"to": target, "id": move_id}


def is_on_its_way(run: RunDir) -> bool:
    return os.path.exists(run.moving)


def stay(run: RunDir) -> None:
    """It waits here as before. Raises `OSError`."""
    os.unlink(run.moving)


def remove(run: RunDir) -> None:
    """The other pod has it. Renamed first, so that it is gone at once or not at all. Raises `OSError`."""
    import shutil
    import tempfile

    root = os.path.dirname(run.path)
    clear(root)
    grave = tempfile.mkdtemp(prefix=_GRAVE, dir=root)
    os.rename(run.path, os.path.join(grave, run.run_id))
    shutil.rmtree(grave, ignore_errors=True)


def clear(root: str) -> None:
    """Take away what is left of runs whose removal was cut off. The caller holds the root's lock. Raises `OSError`."""
    import shutil

    for name in os.listdir(root) if os.path.isdir(root) else ():
        if name.startswith(_GRAVE):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)
