"""What keeps a supervisor from recording its run, in words for a person."""

from podops_runners import states
from podops_runners.typed import Dict, Optional

#: Behind trouble with the machine directory, as a heartbeat has it; any other is trouble with the run's volume.
MACHINE = " (machine directory)"

_FULL = {"ENOSPC": "is full", "EDQUOT": "has no more room under its quota", "EROFS": "is read-only"}

#: A volume that says so takes no heartbeat either: one that tells of it was written when that was over.
_OVER = ("ENOENT", "ESTALE", "ENODEV", "ENOTCONN", "ETIMEDOUT", "EROFS")


def by_heartbeat(beat: Dict[str, str]) -> Optional[str]:
    """What the last heartbeat of a run that has no summary tells of it; `None` where all is well."""
    trouble = beat.get("trouble", "").replace("_", " ")
    code = trouble.partition(":")[0]
    if not trouble or code in _OVER:
        return None
    if trouble.endswith(MACHINE):
        return "the machine directory {}: what is noted there of this run may be missing".format(_refusal(trouble))
    return words(trouble, ended(beat.get("state", ""), beat.get("reason")))


def words(trouble: str, end: str) -> str:
    """The same of trouble with its volume (`ENOSPC: No space left on device`) and, if it has ended, how."""
    told = "the volume {}: what it tells is not recorded".format(_refusal(trouble))
    return "{}; {}".format(told, end) if end else told


def ended(state: str, reason: Optional[str]) -> str:
    """How a run has ended; empty for the state of one that has not."""
    if state not in states.ENDED:
        return ""
    because = " ({})".format(reason) if reason and reason != "ok" else ""
    return "it has ended: {}{}".format(state, because)


def _refusal(trouble: str) -> str:
    code, _, told = trouble.partition(": ")
    return _FULL.get(code) or "refuses what is to be written ({})".format(told.replace(MACHINE, "") or code)
