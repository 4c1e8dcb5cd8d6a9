"""What is known of a run at its end beside the reason: its status as people read it, what is told, what is missing."""

import os
import signal

from podops_runners import records, states
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, Optional


def outcome(status: Optional[int]) -> "tuple[Optional[int], Optional[int]]":
    """`(exit_code, signal)` of a wait status. A shell tells its child's death by signal as 128 + number."""
    if status is None:
        return None, None
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status), os.WTERMSIG(status)
    code = os.WEXITSTATUS(status)
    return code, code - 128 if 128 < code <= 128 + 64 else None


def told(status: Optional[int]) -> str:
    """The same as words that follow on others; empty where nobody knows."""
    code, number = outcome(status)
    if number is not None:
        return " by signal {}".format(number)
    return "" if code is None else " with exit code {}".format(code)


def was_stopped(run: RunDir, number: Optional[int]) -> bool:
    """Whether a supervisor that died before the child did has stopped it for a user."""
    return number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL) and os.path.exists(run.kill_request)


def asked_by(run: RunDir) -> str:
    """Who wanted the run to end, as a line for a person."""
    request, _ = records.read_record(run.kill_request)
    return "asked for by {}".format((request or {}).get("by") or "a user")


def tells_attempt(path: str, attempt: int) -> bool:
    """Whether `attempts.jsonl` has this attempt already, from a supervisor that died before it wrote the summary."""
    return any(line.get("attempt") == attempt for line in records.last_lines(path))


def end_of(run: RunDir, attempt: int) -> Optional[Dict[str, Any]]:
    """The line of `attempts.jsonl` that tells how this attempt ended, as far as it can be used; else `None`."""
    for line in records.last_lines(run.attempts):
        if (
            line.get("attempt") == attempt
            and line.get("state") in states.ENDED
            and line.get("reason") in states.REASONS
        ):
            return line
    return None


def tells_end(path: str) -> bool:
    """Whether a timeline tells the end, and no start after it; a takeover may follow, of one who died over the rest."""
    for line in reversed(records.last_lines(path)):
        if line.get("event") in ("ended", "submitted", "started"):
            return bool(line["event"] == "ended")
    return False


def missing_artifacts(run: RunDir, spec: Dict[str, Any]) -> List[str]:
    """Files the project requires and the run did not leave."""
    required = spec.get("artifacts_required") or []
    own = (os.path.basename(run.summary), "summary.json")
    return [
        name
        for name in required
        if isinstance(name, str) and name not in own and not os.path.exists(os.path.join(run.path, name))
    ]


def warnings_of(metadata: Optional[Dict[str, Any]]) -> List[str]:
    """What went wrong without being worth ending the run, as its records tell it so far."""
    told = (metadata or {}).get("warnings")
    return [text for text in told if isinstance(text, str)] if isinstance(told, list) else []


def free_bytes(path: str) -> Optional[int]:
    """Room on the volume of `path` for us; `None` when nobody can tell."""
    try:
        info = os.statvfs(path)
    except OSError:
        return None
    return info.f_bavail * info.f_frsize
