"""Taking a waiting run out of one pod's queue and into another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podops.errors import PodopsError, RefusedActionError, UnreachableError, UsageError
from podops.plan import QueuePlace, SubmitPlan, plan_submit

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import RunSnapshot


async def move_run(config: ProjectConfig, fleet: Fleet, run: RunSnapshot, target: str) -> dict[str, Any]:
    """Plan `run` anew for the pod `target` and submit it there; its `pod` and `state` afterwards.

    Raises `PodopsError`, and then it waits where it was; held, when the other pod may have taken it without saying so.
    """
    _check(fleet, run, target)
    shared = _on_one_volume(fleet, run, target)
    records = await fleet.run_records(run.pod, run.run_id, project=run.project)
    plan = _plan_again(config, run, records.get("spec") or {}, target)
    # Held first: it starts neither here nor there while it is on its way, and is never in neither place.
    await fleet.queue(run.pod, run.run_id, "hold", project=run.project)
    try:
        # On one volume the directory is there already: it is made anew in its place, and belongs to the target then.
        answer = await fleet.submit(plan, force=shared)
    except PodopsError as error:
        if error.error_code == "unconfirmed":
            # It may wait there as well by now: let go here, it might run twice.
            raise UnreachableError(
                f"{error.message}; run {run.run_id} is held on {run.pod} till that is known",
                f"see `ops queue list`; then move it again, or `ops queue release {run.run_id}`",
                code="unconfirmed",
            ) from error
        if run.state != "held":
            await fleet.queue(run.pod, run.run_id, "release", project=run.project)
        raise
    if not shared:
        await fleet.queue(run.pod, run.run_id, "take", project=run.project)
    return {"pod": target, "state": answer.get("state")}


def _check(fleet: Fleet, run: RunSnapshot, target: str) -> None:
    if not run.waiting:
        raise RefusedActionError(f"run {run.run_id} does not wait: it is {run.state}", "only waiting runs can be moved")
    if run.pod == target:
        raise UsageError(f"run {run.run_id} waits on {target} already")
    if run.after:
        raise RefusedActionError(
            f"run {run.run_id} comes after {', '.join(run.after)}, which {target} does not have",
            f"cancel it, and submit it to {target} without them",
        )
    pod = fleet.snapshot.pods.get(target)
    if pod is not None and pod.state != "live":
        told = f"pod {target} is {pod.state}: {pod.reason}" if pod.reason else f"pod {target} is {pod.state}"
        raise UnreachableError(told, f"run {run.run_id} waits on {run.pod} as before")


def _on_one_volume(fleet: Fleet, run: RunSnapshot, target: str) -> bool:
    """Whether the target sees the directory of `run` too.

    Raises `RefusedActionError` when both names are one machine, or when it has another run of that id.
    """
    pod = fleet.snapshot.pods.get(target)
    same = None if pod is None else pod.runs.get(run.run_id)
    if same is None or same.project != run.project:
        return False
    if same.created_at != run.created_at:
        raise RefusedActionError(f"{target} has a run {run.run_id} of its own", "submit it there under another id")
    if same.owned:
        raise RefusedActionError(
            f"pods {run.pod} and {target} are one machine with one queue", "there it waits already"
        )
    return True


def _plan_again(config: ProjectConfig, run: RunSnapshot, spec: dict[str, Any], target: str) -> SubmitPlan:
    """The run as it was asked for, planned for another pod."""
    given = (spec.get("overrides") or {}).get("given") or {}
    own_tags = config.presets[run.preset].tags if run.preset in config.presets else ()
    plan = plan_submit(
        config,
        run.preset,
        target,
        overrides=[f"{key}={value}" for key, value in given.items()],
        run_id=run.run_id,
        tags=[tag for tag in run.tags if tag not in own_tags],
        ref=(spec.get("git") or {}).get("ref"),
        place=QueuePlace(priority=run.priority, not_before=_not_before(run, spec), hold=run.state == "held"),
    )
    plan.spec["gpus"] = _asked_gpus(spec.get("gpus"))
    return plan


def _not_before(run: RunSnapshot, spec: dict[str, Any]) -> float | None:
    """Unix time; a delay counts from the submit, also on another pod."""
    queue = spec.get("queue") or {}
    delay, moment = queue.get("delay_s"), queue.get("not_before")
    if isinstance(delay, (int, float)) and run.created_at is not None:
        return run.created_at + delay
    return float(moment) if isinstance(moment, (int, float)) else None


def _asked_gpus(stored: Any) -> dict[str, Any] | None:
    """What was asked for, without what the first pod made of it."""
    if not isinstance(stored, dict):
        return None
    return {key: stored[key] for key in ("count", "all", "indices") if key in stored}
