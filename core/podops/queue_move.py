"""Taking a waiting run out of one pod's queue and into another's."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podops.errors import NotFoundError, PodopsError, RefusedActionError, UnreachableError, UsageError
from podops.plan import QueuePlace, SubmitPlan, plan_submit

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import RunSnapshot


async def move_run(config: ProjectConfig, fleet: Fleet, run: RunSnapshot, target: str) -> dict[str, Any]:
    """Plan `run` anew for the pod `target` and submit it there; its `pod` and `state` afterwards.

    Whatever is cut off on the way, the run starts on one pod at most, and the same move done again finishes it. Raises
    `PodopsError`, and then it waits where it was; held, when the other pod may have taken it without saying so.
    """
    _check(fleet, run, target)
    spec = (await fleet.run_records(run.pod, run.run_id, project=run.project)).get("spec") or {}
    shared = await _on_one_volume(fleet, run, target, spec)
    plan = _plan_again(config, run, spec, target)
    way = await _set_out(fleet, run, target)
    # As a user has it, not as the note of the move has it.
    plan.spec["queue"].pop("hold", None)
    if way.held:
        plan.spec["queue"]["hold"] = True
    try:
        # On one volume the directory is there already: it is made anew in its place, and belongs to the target then.
        state = (await fleet.submit(plan, force=shared, request_id=way.id)).get("state")
    except PodopsError as error:
        there = await _arrived(fleet, run, target, way.id, error)
        if there is None:
            await fleet.queue(run.pod, run.run_id, "stay", project=run.project, value=way.id)
            raise
        state = there
    if not shared:
        await _let_go(fleet, run, way.id)
    return {"pod": target, "state": state}


@dataclass(frozen=True, slots=True)
class _Way:
    """A move that its pod has noted: the target knows the run again by `id`; `held`: a user has held it, too."""

    id: str
    held: bool


async def _set_out(fleet: Fleet, run: RunSnapshot, target: str) -> _Way:
    """Note on its pod that the run goes to `target`: from then on it starts nowhere by itself."""
    move_id = uuid.uuid4().hex
    for _ in range(2):
        wanted = {"to": target, "id": move_id}
        told = await fleet.queue(run.pod, run.run_id, "move", project=run.project, value=wanted)
        way = _Way(str(told.get("move_id") or move_id), told.get("held") is True)
        if told.get("to", target) == target:
            return way
        await _settle(fleet, run, str(told["to"]), way.id)
    raise RefusedActionError(f"somebody else moves run {run.run_id}", "look with `ops queue list`")


async def _settle(fleet: Fleet, run: RunSnapshot, former: str, move_id: str) -> None:
    """Finish a move to another pod that was cut off; returns when that pod does not have the run, else raises."""
    cut_off = UnreachableError(f"a move of run {run.run_id} to {former} was cut off, and {former} may have it")
    if former not in fleet.snapshot.pods:
        raise UnreachableError(cut_off.message, f"reach {former}, or cancel the run", code="unconfirmed")
    if await _arrived(fleet, run, former, move_id, cut_off) is None:
        await fleet.queue(run.pod, run.run_id, "stay", project=run.project, value=move_id)
        return
    await _let_go(fleet, run, move_id)
    raise RefusedActionError(f"run {run.run_id} is on {former} already", f"move it from there: --pod {former}")


async def _arrived(fleet: Fleet, run: RunSnapshot, target: str, move_id: str, error: PodopsError) -> str | None:
    """The state of the run on `target`; `None` when it never came there. Raises when that cannot be known."""
    there: dict[str, Any] = {}
    unknown = error.error_code == "unconfirmed"
    try:
        if not unknown:
            there = await fleet.run_records(target, run.run_id, project=run.project)
    except NotFoundError:
        return None
    except PodopsError:
        unknown = True
    if unknown:
        raise UnreachableError(
            f"{error.message}; run {run.run_id} is held on {run.pod} till that is known",
            f"`ops queue move {run.run_id} --to {target}` again finishes it",
            code="unconfirmed",
        ) from error
    if (there.get("spec") or {}).get("request_id") != move_id:
        return None
    return str((there.get("run") or {}).get("state") or "queued")


async def _let_go(fleet: Fleet, run: RunSnapshot, move_id: str) -> None:
    try:
        await fleet.queue(run.pod, run.run_id, "take", project=run.project, value=move_id)
    except NotFoundError:
        pass  # removed, and the answer was lost


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
    later = _coming_after(fleet, run)
    if later:
        raise RefusedActionError(
            f"{', '.join(later)} on {run.pod} would wait for run {run.run_id} in vain",
            f"cancel what comes after it first, and submit that to {target} too",
        )
    pod = fleet.snapshot.pods.get(target)
    if pod is not None and pod.state != "live":
        told = f"pod {target} is {pod.state}: {pod.reason}" if pod.reason else f"pod {target} is {pod.state}"
        raise UnreachableError(told, f"run {run.run_id} waits on {run.pod} as before")


def _coming_after(fleet: Fleet, run: RunSnapshot) -> list[str]:
    """The waiting runs of its pod that come after `run`; without it there, they would fail."""
    pod = fleet.snapshot.pods.get(run.pod)
    others = () if pod is None else pod.runs.values()
    return [
        other.run_id for other in others if other.waiting and other.project == run.project and run.run_id in other.after
    ]


async def _on_one_volume(fleet: Fleet, run: RunSnapshot, target: str, spec: dict[str, Any]) -> bool:
    """Whether the target sees the directory of `run` too: it has a run of that id with this very spec.

    Raises `RefusedActionError` when both names are one machine.
    """
    pod = fleet.snapshot.pods.get(target)
    same = None if pod is None else pod.runs.get(run.run_id)
    if same is None or same.project != run.project:
        return False
    there = await fleet.run_records(target, run.run_id, project=run.project)
    if not spec or there.get("spec") != spec:
        return False
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
