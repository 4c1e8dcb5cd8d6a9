"""The state of a run from what stands on the volume, and from nothing else."""

from podops_runners import states
from podops_runners.typed import Any, Dict, NamedTuple, Optional, Tuple


class Evidence(NamedTuple):
    """What one look at a run directory shows. Ages are seconds by the clock of the machine that looks."""

    summary: Optional[Dict[str, Any]] = None
    summary_broken: bool = False
    held: bool = False
    claim: Optional[Dict[str, Any]] = None
    claim_age_s: float = 0.0
    kill_requested: bool = False
    heartbeat_age_s: Optional[float] = None
    interval_s: float = 20.0
    #: The claim names this machine. On another one only the heartbeat tells.
    own_machine: bool = True
    same_boot: bool = True
    #: Its supervisor, its child or the shim between them lives on this machine.
    worked_on: bool = False
    #: It has a place in the queue of a pod.
    queued: bool = False
    #: There is a spec that can be read.
    has_spec: bool = True
    #: There is one that cannot; without any the directory was made by hand.
    spec_broken: bool = False
    submitted_age_s: Optional[float] = None


#: A run without a place in the queue may take this long from its spec to its claim, seconds.
STARTING_S = 30.0

#: A claim may stand this long without a supervisor: one is coming, or the agent takes the run over, seconds.
TAKEOVER_S = 45.0


def derive_state(seen: Evidence) -> Tuple[str, Optional[str]]:
    """`(state, reason)`. A summary always wins; a run whose pod merely does not answer is never judged here."""
    if seen.summary is not None:
        return _from_summary(seen.summary)
    if seen.claim is None:
        return _unclaimed(seen)
    lost = _lost(seen)
    if lost is not None:
        return states.LOST, lost
    if seen.kill_requested:
        return states.STOPPING, None
    return (states.RUNNING if seen.claim.get("child") else states.STARTING), None


def _from_summary(summary: Dict[str, Any]) -> Tuple[str, Optional[str]]:
    reason = summary.get("reason") if summary.get("reason") in states.REASONS else None
    if summary.get("ok") is True:
        return states.SUCCEEDED, reason or "ok"
    state = summary.get("state")
    return (states.CANCELLED if state == states.CANCELLED else states.FAILED), reason or "unknown"


def _unclaimed(seen: Evidence) -> Tuple[str, Optional[str]]:
    if seen.held:
        return states.HELD, None
    if not seen.has_spec or seen.summary_broken:
        return states.LOST, "unknown"
    if seen.queued:
        return states.QUEUED, None
    fresh = seen.submitted_age_s is not None and seen.submitted_age_s < STARTING_S
    return (states.STARTING, None) if fresh else (states.LOST, "unknown")


def _lost(seen: Evidence) -> Optional[str]:
    """The reason when nobody works on a claimed run any more, else `None`."""
    stale = seen.heartbeat_age_s is not None and seen.heartbeat_age_s > 3 * seen.interval_s
    if not seen.own_machine:
        return "pod_lost" if stale else None
    if not seen.same_boot:
        return "pod_lost"
    coming = seen.claim_age_s <= TAKEOVER_S and not seen.summary_broken
    return None if seen.worked_on or coming else "unknown"


def lost_because(seen: Evidence) -> str:
    """What shows that a run is lost, for a person."""
    if seen.summary_broken:
        return "its summary cannot be read, and nobody works on it any more"
    if seen.claim is None and seen.spec_broken:
        return "it was never started, and its spec cannot be read"
    if seen.claim is None:
        return "it was never started: its submit was cut off, or its directory was made by hand"
    if not seen.own_machine:
        return "the pod that ran it is silent: its heartbeat is older than three intervals"
    if not seen.same_boot:
        return "its pod was rebooted while it ran"
    return "its supervisor and its process are gone, and they left no summary"
