"""Asking a run to end, so that the request outlives whoever asked."""

import os
import signal
import sys
import time

from podops_runners import agent_process, machine, process, queue_ops, records, states
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event
from podops_runners.typed import Any, Dict, Optional


def request_kill(run: RunDir, grace_s: Optional[float], by: str) -> Dict[str, Any]:
    """Record the request and wake the supervisor; returns `{"state", "ended"}` at once.

    A run that waits in the queue is cancelled here and now. Raises `OSError` when the request cannot be stored.
    """
    summary, _ = records.read_record(run.summary)
    if summary is not None:
        return {"state": str(summary.get("state") or states.FAILED), "ended": True}
    cancelled = queue_ops.cancel_if_waiting(run, by)
    if cancelled is not None:
        return cancelled
    os.makedirs(run.private, exist_ok=True)
    records.write_record(run.kill_request, {"time": time.time(), "grace_s": grace_s, "by": by})
    event(run, "kill_requested", by=by, grace_s=grace_s)
    claim, _ = records.read_record(run.claim)
    supervisor = (claim or {}).get("supervisor")
    if process.is_alive(supervisor):
        os.kill(supervisor["pid"], signal.SIGUSR1)  # type: ignore[index]
    elif claim is not None:
        # The agent takes the run over, finds the request and ends it as it should be ended.
        agent_process.ensure_running()
        machine.wake_agent()
    return {"state": states.STOPPING, "ended": False}


def main(run_dir: str) -> int:
    """`python3 podops.pyz kill DIR`: the same by hand on the pod, without a link."""
    answer = request_kill(RunDir(run_dir), None, "a user on the pod")
    sys.stdout.write("{}\n".format(answer["state"]))
    return 0
