"""What the submit dialog starts from, what it makes of the typed text, and what it hands back. No widgets here."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from podops.config.gpu_request import parse_gpu_request
from podops.config.model import GpuRequest, ProjectConfig
from podops.errors import RefusedActionError, UsageError
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops.forecast import forecast
from podops.kinds.overrides import plain_text
from podops.plan import QueuePlace, SubmitPlan, plan_submit
from podops.start_time import parse_start
from podops_runners.ticket import HIGHEST, LOWEST
from podops_tui.ansi import clean


@dataclass(frozen=True, slots=True)
class Submission:
    """What was chosen. `force` runs over an existing directory."""

    plan: SubmitPlan
    force: bool = False


@dataclass(frozen=True, slots=True)
class Prefilled:
    """What the fields hold when the dialog opens, as text."""

    preset: str = ""
    pod: str = ""
    overrides: str = ""
    gpus: str = ""
    tags: str = ""
    priority: str = ""

    @classmethod
    def from_spec(cls, run: RunSnapshot, spec: object) -> Prefilled:
        """As `run` was submitted. A pod is not trusted: whatever its `spec` is, this returns something."""
        fields = spec if isinstance(spec, dict) else {}
        overrides = fields.get("overrides")
        given = overrides.get("given") if isinstance(overrides, dict) else None
        words = [f"{key}={value}" for key, value in given.items()] if isinstance(given, dict) else []
        tags = fields.get("tags")
        names = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
        return cls(
            run.preset,
            run.pod,
            clean(shlex.join(words)),
            _gpus_text(fields.get("gpus")),
            clean(" ".join(names)),
            _priority_text(fields.get("queue")),
        )


@dataclass(frozen=True, slots=True)
class Typed:
    """The fields of the dialog as they stand."""

    preset: str
    pod: str
    overrides: str
    gpus: str
    run_id: str
    tags: str
    force: bool
    priority: str = ""
    start: str = ""
    hold: bool = False
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()


def check(config: ProjectConfig, fleet: FleetSnapshot, typed: Typed, fresh_id: str) -> Submission:
    """What would be submitted; `fresh_id` is the run's id when none is typed. Raises `PodopsError`."""
    if not config.presets:
        raise UsageError("the project has no presets", "add one under `presets:` in the project file")
    if not config.pods:
        raise UsageError("the project has no pods", "add one under `pods:` in the project file")
    try:
        words = shlex.split(typed.overrides)
    except ValueError as error:
        raise UsageError(f"overrides: {error}", "a quote is not closed") from None
    known = config.presets.get(typed.preset)
    plan = plan_submit(
        config,
        typed.preset,
        typed.pod,
        overrides=words,
        run_id=typed.run_id.strip() or fresh_id,
        gpus=parse_gpu_request(typed.gpus),
        place=_place(typed, fleet.pods.get(typed.pod)),
        tags=[tag for tag in typed.tags.replace(",", " ").split() if known is None or tag not in known.tags],
    )
    _refuse_existing(fleet.pods.get(typed.pod), config.name, plan.run_id, typed.force)
    return Submission(plan, typed.force)


def _place(typed: Typed, pod: PodSnapshot | None) -> QueuePlace:
    for name in (*typed.after, *typed.after_any):
        if pod is not None and name not in pod.runs:
            raise UsageError(f"run {name} is not on {typed.pod}", "a run comes after runs of its own pod")
    try:
        priority = int(typed.priority) if typed.priority.strip() else None
    except ValueError:
        raise UsageError(f"priority: {typed.priority!r} is no whole number") from None
    if priority is not None and not LOWEST <= priority <= HIGHEST:
        raise UsageError(f"priority: it lies between {LOWEST} and {HIGHEST}")
    delay, moment = parse_start(typed.start, datetime.now())
    return QueuePlace(priority, typed.after, typed.after_any, delay, moment, typed.hold)


def _refuse_existing(pod: PodSnapshot | None, project: str, run_id: str, force: bool) -> None:
    run = None if pod is None else pod.runs.get(run_id)
    if run is None or run.project not in ("", project):
        return
    if not run.ended and run.state != "lost":
        raise RefusedActionError(f"run {run_id} is {run.state} on {run.pod}", "end it first, or take another run id")
    if not force:
        raise RefusedActionError(
            f"run {run_id} exists on {run.pod} ({run.state})",
            "take another run id, or set force: it runs again, the old files are kept as *.bak-<time>",
        )


def room(pod: PodSnapshot | None) -> str:
    """How much of a pod is free, in a few words."""
    if pod is None or pod.state != "live":
        return "not live" if pod is None else pod.state
    if not pod.gpus.gpus:
        return "no GPU"
    free = sum(gpu.is_free() for gpu in pod.gpus.gpus)
    return f"{free} of {len(pod.gpus.gpus)} GPUs free" + (" (simulated)" if pod.gpus.simulated else "")


def roomiest(fleet: FleetSnapshot) -> str:
    """The live pod with most free GPUs and fewest active runs; empty when none is live."""
    live = [pod for pod in fleet.pods.values() if pod.state == "live"]

    def rank(pod: PodSnapshot) -> tuple[int, int]:
        active = sum(run.state in ("starting", "running", "stopping") for run in pod.runs.values())
        return (sum(gpu.is_free() for gpu in pod.gpus.gpus), -active)

    return max(live, key=rank).name if live else ""


def told(submission: Submission, config: ProjectConfig, fleet: FleetSnapshot) -> Text:
    """Whether it starts at once, the exact command, and what a person should know before starting it."""
    plan = submission.plan
    text = _verdict(plan, fleet.pods.get(plan.pod), config)
    text.append(clean(plan.command) + "\n", "bold")
    defaults = config.presets[plan.preset].overrides
    rows = {
        "run": plan.run_id,
        "directory": plan.run_dir,
        "workdir": plan.workdir,
        "session": plan.session,
        "preset": " ".join(f"{key}={plain_text(value)}" for key, value in defaults.items()),
    }
    for name, value in rows.items():
        if value:
            text.append(f"{name:<10}", "dim").append(clean(value) + "\n")
    for warning in plan.warnings:
        text.append(f"! {clean(warning)}\n", "yellow")
    return text


def _verdict(plan: SubmitPlan, pod: PodSnapshot | None, config: ProjectConfig) -> Text:
    if pod is None or pod.state != "live":
        state = "unknown" if pod is None else pod.state
        return Text().append(f"! pod {clean(plan.pod)} is {state}: nobody can start a run there now\n", "yellow")
    found = forecast(plan, pod, config.queue.gpu_busy_bytes)
    words, style = _VERDICTS[found.verdict]
    why = f": {clean(found.why)}" if found.why else _gpus_to_be(plan, pod)
    return Text().append(f"{words}{why}\n", style)


_VERDICTS: dict[str, tuple[str, str]] = {
    "now": ("▶ starts at once", "bold green"),
    "wait": ("◌ goes into the queue", "bold yellow"),
    "refused": ("✗ the pod will refuse it", "bold red"),
}


def _gpus_to_be(plan: SubmitPlan, pod: PodSnapshot) -> str:
    wanted = plan.spec.get("gpus") or {}
    count = len(pod.gpus.gpus) if wanted.get("all") else wanted.get("count") or len(wanted.get("indices") or ())
    return f" on {count} GPU{'' if count == 1 else 's'}" if count else " and claims no GPU"


def _gpus_text(gpus: object) -> str:
    """What was asked for, as it would be typed. A count keeps the indices it was given; they are not asked again."""
    fields = gpus if isinstance(gpus, dict) else {}
    if fields.get("all") is True:
        return "all"
    if isinstance(fields.get("count"), int):
        return str(fields["count"])
    indices = fields.get("indices")
    if isinstance(indices, list) and indices and all(type(index) is int for index in indices):
        return ",".join(map(str, indices)) + ("," if len(indices) == 1 else "")
    return ""


def _priority_text(queue: object) -> str:
    value = queue.get("priority") if isinstance(queue, dict) else None
    return str(value) if type(value) is int and value else ""


def typed_gpus(request: GpuRequest) -> str:
    """A request as it would be typed; `none` when no GPU is asked for."""
    if isinstance(request, tuple):
        return ",".join(map(str, request)) + ("," if len(request) == 1 else "")
    return str(request) if request else "none"
