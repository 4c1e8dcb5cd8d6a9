"""Runs that no pod tells of now, as this machine's history has them.

What is printed is what is remembered; the exit code is what the pods themselves said, as if there were no history.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from podops.cli.output import ago, say, say_hint
from podops.errors import NotFoundError, PodopsError, UsageError

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.fleet import Fleet
    from podops.fleet.memory import RecalledLog
    from podops.history.history import History
    from podops.history.recall import RememberedRun


#: A log that is older than what else is known of its run by more than so many seconds is told with its own age.
_APART_S = 10.0

_GONE = "its directory is gone from the pod"
_LEFT = "is no longer in the project file"


def recalled_run(
    history: History | None, fleet: Fleet, text: str, pod: str | None, error: PodopsError
) -> tuple[RememberedRun, RecalledLog | None, PodopsError]:
    """The run named `text`, on `pod` if that is given, that no pod told, and the end of its log; says how old they are.

    With it the error that stands for `error`, which says why no pod tells it; raises `error` when it is not
    remembered either.
    """
    one = as_pods_tell(_named(history, text, pod, error), fleet)
    log = history.log(one) if history else None
    error = _better(error, one, fleet.config)
    say(f"{error.message}{_what_became(one, fleet)}; this is what was known {ago(one.as_of)}")
    if log is not None and not log.complete and log.as_of < one.as_of - _APART_S:
        say(f"the end of its log is as it was {ago(log.as_of)}")
    say_hint(error.hint)
    return one, log, error


def recalled_log(
    history: History | None, fleet: Fleet, text: str, pod: str | None, error: PodopsError
) -> tuple[RememberedRun, RecalledLog | None, PodopsError]:
    """Likewise for a command that shows the log alone: it says how old that is."""
    one = as_pods_tell(_named(history, text, pod, error), fleet)
    log = history.log(one) if history else None
    error = _better(error, one, fleet.config)
    if log is None:
        say(f"{error.message}; nothing of the log of {one.run.run_id} is remembered")
    else:
        say(f"{error.message}; this is what was known of its log {ago(log.as_of)}")
    say_hint(error.hint)
    return one, log, error


def pod_left(name: str) -> NotFoundError:
    """What to tell when something is remembered of a pod that the project file no longer has."""
    return NotFoundError(f"pod {name} {_LEFT}", "under `pods:` again it is asked as before")


def _better(error: PodopsError, one: RememberedRun, config: ProjectConfig) -> PodopsError:
    """What says more than that there is no such run, where its pod was taken out of the project file."""
    if not isinstance(error, NotFoundError) or not _left(one, config):
        return error
    pod = one.run.pod
    hint = f"`ops run list --all --pod {pod}` lists what is remembered of it; under `pods:` again it is asked as before"
    return NotFoundError(f"run {one.run.run_id} was on pod {pod}, which {_LEFT}", hint)


def _left(one: RememberedRun, config: ProjectConfig) -> bool:
    """Whether its pod is in the project file no more, by the name it had or by another."""
    from podops.config.identity import pod_identity

    return one.run.pod not in config.pods and one.identity not in map(pod_identity, config.pods.values())


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


def age_of(one: RememberedRun, config: ProjectConfig) -> str:
    """Since when it is as it is shown, and what became of it."""
    told = f"as of {ago(one.as_of)}"
    if one.gone_at is not None:
        return f"{told}, {_GONE}"
    return f"{told}, its pod {_LEFT}" if _left(one, config) else told


def heartbeat_age(one: RememberedRun) -> float | None:
    """How old its last heartbeat is by now, seconds."""
    age = one.run.heartbeat_age_s
    return None if age is None else age + time.monotonic() - one.run.received_at
