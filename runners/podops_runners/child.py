"""The run's own process: started apart from us, its output a file that needs nobody to carry it."""

import os
import signal
import subprocess
from typing import Any, Dict, Optional

from podops_runners import process
from podops_runners.rundir import RunDir


class Child:
    """`bash command.sh` in a session of its own; stdout and stderr are `stdout.log` itself."""

    def __init__(self, run: RunDir, environment: Dict[str, str]) -> None:
        """Raises `OSError` when it cannot be started."""
        log = os.open(run.stdout_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            self._popen = subprocess.Popen(
                ["bash", run.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=run.path,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(log)
        self.pid = self._popen.pid
        self.identity = process.identity(self.pid)

    def reap(self) -> Optional[int]:
        """Collect everything that has ended; the child's own wait status once it has.

        We are the reaper of its orphans too, so every zombie is taken, not only the child's.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            if pid == self.pid:
                self._popen.returncode = status  # ours to reap, not Popen's
                return status


def environment(spec: Dict[str, Any], run: RunDir) -> Dict[str, str]:
    """What a run sees: the pod's own basics, what the preset declares, and where it is. Nothing else."""
    declared: Dict[str, str] = {}
    for source in (spec.get("base_env"), spec.get("env")):
        if isinstance(source, dict):
            declared.update({str(key): str(value) for key, value in source.items()})
    declared.update(
        OPS_RUN_ID=run.run_id,
        OPS_RUN_DIR=run.path,
        OPS_METRICS_FILE=run.metrics,
        PYTHONUNBUFFERED="1",
    )
    return declared


def outcome(status: int) -> "tuple[int, Optional[int]]":
    """`(exit_code, signal)` of a wait status. A shell tells its child's death by signal as 128 + number."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return 128 + number, number
    code = os.WEXITSTATUS(status)
    known = 128 < code <= 128 + signal.NSIG - 1
    return code, code - 128 if known else None
