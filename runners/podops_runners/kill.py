"""Asking a run to end, so that the request outlives whoever asked."""

import os
import signal
import sys
import time
from typing import Any, Dict, Optional

from podops_runners import process, records, states
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event, iso
from podops_runners.stop import kill_tree


def request_kill(run: RunDir, grace_s: Optional[float], by: str) -> Dict[str, Any]:
    """Record the request and wake the supervisor; returns `{"state", "ended"}` at once.

    Where the supervisor itself is gone, the run's processes are ended here and the summary is written for it.
    Raises `OSError` when the request cannot be stored.
    """
    summary, _ = records.read_record(run.summary)
    if summary is not None:
        return {"state": str(summary.get("state") or states.FAILED), "ended": True}
    os.makedirs(run.private, exist_ok=True)
    records.write_record(run.kill_request, {"time": time.time(), "grace_s": grace_s, "by": by})
    event(run, "kill_requested", by=by, grace_s=grace_s)
    claim, _ = records.read_record(run.claim)
    supervisor = (claim or {}).get("supervisor")
    if process.is_alive(supervisor):
        os.kill(supervisor["pid"], signal.SIGUSR1)  # type: ignore[index]
        return {"state": states.STOPPING, "ended": False}
    if claim is None:
        return {"state": states.STOPPING, "ended": False}
    _end_without_supervisor(run, (claim or {}).get("child"), by)
    return {"state": states.CANCELLED, "ended": True}


def _end_without_supervisor(run: RunDir, child: Any, by: str) -> None:
    pid = child["pid"] if process.is_alive(child) else None
    if pid is not None:
        process.signal_group(pid, signal.SIGINT)
        deadline = time.monotonic() + 2.0
        while process.is_alive(child) and time.monotonic() < deadline:
            time.sleep(0.05)
    kill_tree(pid, run.path)
    now = time.time()
    detail = "asked for by {}; its supervisor was gone, so the exit status is unknown".format(by)
    record = {
        "run_id": run.run_id,
        "ok": False,
        "state": states.CANCELLED,
        "reason": "user_kill",
        "detail": detail,
        "exit_code": None,
        "signal": None,
        "ended_at": iso(now),
        "ended": now,
        "attempts": 1,
    }
    event(run, "ended", state=states.CANCELLED, reason="user_kill")
    records.write_record(run.summary, record)


def main(run_dir: str) -> int:
    """`python3 podops.pyz kill DIR`: the same by hand on the pod, without a link."""
    answer = request_kill(RunDir(run_dir), None, "a user on the pod")
    sys.stdout.write("{}\n".format(answer["state"]))
    return 0
