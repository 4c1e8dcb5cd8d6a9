"""What is known of an attempt that has ended, and what is concluded from it."""

from podops_runners.states import CANCELLED, FAILED
from podops_runners.typed import Any, Dict, NamedTuple, Optional, Tuple


class Ending(NamedTuple):
    """What is known of an attempt that has ended."""

    #: As a shell tells it: 128 + number for a death by signal; `None` when nobody saw it end.
    exit_code: Optional[int]
    signal: Optional[int] = None
    #: Why the supervisor ended it, a reason; `None` when it ended by itself.
    stop_cause: Optional[str] = None
    stop_detail: str = ""
    log_path: str = ""
    #: The attempt's bytes in the log; `log_end` `None` is the end of the file.
    log_start: int = 0
    log_end: Optional[int] = None
    #: Kills for memory that our cgroup counted during the attempt.
    oom_kills: int = 0
    #: Room on the run directory's volume at the end, bytes.
    disk_free_bytes: Optional[int] = None
    notes: Tuple[str, ...] = ()


class Verdict(NamedTuple):
    """How it ended, for `summary.json`."""

    state: str
    reason: str
    #: One line for a person, at most 300 characters.
    detail: str
    #: `source` (`supervisor`, `exit`, `signal`, `cgroup`, `log`) and what it showed; safe for JSON.
    evidence: Dict[str, Any]
    #: `file, line, function, error, message` of the last Python traceback that is no mere report of another.
    traceback: Optional[Dict[str, Any]]


def cancelled(reason: str, detail: str) -> Verdict:
    """What the supervisor itself was asked for."""
    return Verdict(CANCELLED, reason, detail, {"source": "supervisor"}, None)


def failed(reason: str, detail: str) -> Verdict:
    """What the supervisor itself has seen fail."""
    return Verdict(FAILED, reason, detail, {"source": "supervisor"}, None)
