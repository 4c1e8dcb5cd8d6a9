"""Runs that no pod tells of now, as this machine's history has them.

What is printed is what is remembered; the exit code is what the pods themselves said, as if there were no history.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from podops.cli.output import ago, say, say_hint
from podops.errors import PodopsError, UsageError

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet
    from podops.fleet.memory import RecalledLog
    from podops.history.history import History
    from podops.history.recall import RememberedRun


#: A log that is older than what else is known of its run by more than so many seconds is told with its own age.
_APART_S = 10.0

_GONE = "its directory is gone from the pod"


def recalled_run(
    history: History | None, fleet: Fleet, text: str, pod: str | None, error: PodopsError
) -> tuple[RememberedRun, RecalledLog | None]:
    """The run named `text`, on `pod` if that is given, that no pod told, and the end of its log; says how old they are.

    Raises `error`, which says why no pod tells it, when it is not remembered either.
    """
    one = as_pods_tell(_named(history, text, pod, error), fleet)
    log = history.log(one) if history else None
    say(f"{error.message}{_what_became(one, fleet)}; this is what was known {ago(one.as_of)}")
    if log is not None and not log.complete and log.as_of < one.as_of - _APART_S:
        say(f"the end of its log is as it was {ago(log.as_of)}")
    say_hint(error.hint)
    return one, log


def recalled_log(
    history: History | None, fleet: Fleet, text: str, pod: str | None, error: PodopsError
) -> tuple[RememberedRun, RecalledLog | None]:
    """Likewise for a command that shows the log alone: it says how old that is."""
    one = as_pods_tell(_named(history, text, pod, error), fleet)
    log = history.log(one) if history else None
    if log is None:
        say(f"{error.message}; nothing of the log of {one.run.run_id} is remembered")
    else:
        say(f"{error.message}; this is what was known of its log {ago(log.as_of)}")
    say_hint(error.hint)
    return one, log


def _what_became(one: RememberedRun, fleet: Fleet) -> str:
    if one.gone_at is not None:
        return f"; {_GONE}"
    seen = fleet.snapshot.pods.get(one.run.pod)
    return f"; pod {seen.name} is gone: {seen.reason}" if seen is not None and seen.state == "gone" else ""


def _named(history: History | None, text: str, pod: str | None, error: PodopsError) -> RememberedRun:
    found = [one for one in (history.find(text) if history and text else []) if pod in (None, one.run.pod)]
    if not found:
        raise error
    if len(found) > 1:
        names = ", ".join(f"{one.run.run_id} on {one.run.pod}" for one in found[:8])
        raise UsageError(f"{text!r} names {len(found)} remembered runs: {names}", "write more of its id") from error
    return found[0]


def as_pods_tell(one: RememberedRun, fleet: Fleet) -> RememberedRun:
    """What is remembered of a run, and that its directory is gone when its pod lists its runs now without it."""
    from podops.config.identity import pod_identity

    for name, seen in fleet.snapshot.pods.items():
        tells = seen.state == "live" and seen.listed and seen.as_of is None and not seen.unlisted
        same = tells and seen.host.machine_id == one.machine and pod_identity(fleet.config.pods[name]) == one.identity
        if same and one.run.project == fleet.config.name and one.run.run_id not in seen.runs:
            return one.found_gone()
    return one


def error_fields(error: PodopsError) -> dict[str, Any]:
    """Beside what is remembered, in a JSON document."""
    return {"ok": False, "error": {"code": error.error_code, "message": error.message, "hint": error.hint}}


def age_of(one: RememberedRun, known_pods: frozenset[str]) -> str:
    """Since when it is as it is shown, and what became of it."""
    told = f"as of {ago(one.as_of)}"
    if one.gone_at is not None:
        return f"{told}, {_GONE}"
    return told if one.run.pod in known_pods else f"{told}, its pod is no longer in the project file"


def heartbeat_age(one: RememberedRun) -> float | None:
    """How old its last heartbeat is by now, seconds."""
    age = one.run.heartbeat_age_s
    return None if age is None else age + time.monotonic() - one.run.received_at
