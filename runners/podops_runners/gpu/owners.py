"""Whose a GPU is: the runs of ours that use it, and how that is known.

A driver that lives outside a container tells its processes by numbers that mean nothing inside, or tells none. Then a
run's claim is the better witness, and the report says that it is the claim that speaks.
"""

import os

from podops_runners import process
from podops_runners.typed import Any, Dict, List, Optional, Tuple

#: More than this in use, bytes, is somebody's; less is what an idle card keeps.
_USED = 100 * 1024 * 1024

#: The kernel's fixed number of the first PID namespace; in any other, NVML's numbers may be those of the host.
_FIRST_NAMESPACE = "pid:[4026531836]"


class Owners:
    """Names the processes on each GPU. A process is looked at once, not at each sample."""

    def __init__(self) -> None:
        self._known: Dict[Tuple[int, int], Dict[str, Any]] = {}
        self._contained = _link("/proc/self/ns/pid") != _FIRST_NAMESPACE

    def name(self, gpus: List[Dict[str, Any]]) -> None:
        """Add `name`, `run_id` and `known` to every process of `gpus`. `known: False`: no such process in this pod."""
        seen = {}
        for entry in (entry for gpu in gpus for entry in gpu["processes"]):
            pid = entry["pid"]
            ticks = process.start_ticks(pid)
            if ticks is None:
                entry.update(name="", run_id=None, known=False)
                continue
            facts = self._known.get((pid, ticks)) or self._look(pid)
            seen[pid, ticks] = facts
            entry.update(facts)
        self._known = seen

    def _look(self, pid: int) -> Dict[str, Any]:
        run_id = run_of(pid)
        # The host's process 17 is not ours: here a number is believed only with a sign that it is the right process.
        known = not self._contained or run_id is not None or _uses_nvidia(pid)
        return {"name": process.command_name(pid) if known else "", "run_id": run_id, "known": known}


def attribute(gpu: Dict[str, Any], claimed_by: Optional[str]) -> None:
    """Add `claimed_by`, `used_by` (run ids) and `attributed` (`process`, `claim` or null) to a GPU."""
    runs = sorted({entry["run_id"] for entry in gpu["processes"] if entry.get("run_id")})
    strangers_only = not any(entry.get("known") for entry in gpu["processes"])
    used = (gpu["memory_used_bytes"] or 0) > _USED or (gpu["utilization_percent"] or 0) > 0
    how = None
    if runs:
        how = "process"
    elif claimed_by is not None and strangers_only and used:
        runs, how = [claimed_by], "claim"
    gpu.update(claimed_by=claimed_by, used_by=runs, attributed=how)


def run_of(pid: int) -> Optional[str]:
    """The run a process belongs to: it, or one of its ancestors, was started with the run's `OPS_RUN_DIR`."""
    current: Optional[int] = pid
    for _ in range(64):
        if current is None or current <= 1:
            break
        run_dir = process.environment(current, "OPS_RUN_DIR")
        if run_dir:
            return os.path.basename(run_dir.rstrip("/")) or None
        current = process.parent(current)
    return None


def _uses_nvidia(pid: int) -> bool:
    directory = "/proc/{}/fd".format(pid)
    try:
        descriptors = os.listdir(directory)
    except OSError:
        return False
    return any(_link(os.path.join(directory, name)).startswith("/dev/nvidia") for name in descriptors)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
