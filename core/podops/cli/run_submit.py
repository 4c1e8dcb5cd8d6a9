"""`ops run submit`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from podops.cli.bare_names import check_named
from podops.cli.context import Options, find_run, json_option, open_fleet, run_async
from podops.cli.moment import DurationType, MomentType
from podops.cli.number import WholeNumber
from podops.cli.output import ago, clean, print_json, say
from podops.cli.project_names import complete_overrides, complete_pods, complete_presets, complete_runs
from podops.errors import NotFoundError, UnreachableError, UsageError
from podops.fleet.moments import by_this_clock
from podops_runners.states import ENDED

if TYPE_CHECKING:
    from podops.config.model import GpuRequest, ProjectConfig
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
    from podops.plan import SubmitPlan


class GpuType(click.ParamType["GpuRequest"]):
    """`2`, `all` or `0,1,3`."""

    name = "gpus"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> GpuRequest:
        from podops.config.gpu_request import parse_gpu_request

        try:
            return parse_gpu_request(str(value))
        except UsageError as error:
            self.fail(error.message, param, ctx)


@click.command(context_settings={"ignore_unknown_options": False})
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=complete_presets,
    help="What to run: a preset of the project file; must be given.",
)
@click.option(
    "--pod",
    metavar="NAME",
    shell_complete=complete_pods,
    help="Where to run it; without it, the live pod that has most room.",
)
@click.option("--run-id", metavar="ID", help="The run's id; without it, one made from the time and the preset.")
@click.option(
    "--gpus",
    type=GpuType(),
    help="How many GPUs (0 for none), `all`, or which: 0,1 (`0,` is the first alone). Overrides the preset.",
)
@click.option("--ref", metavar="REF", help="Git ref this run stands for; recorded.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag to record; may be given several times.")
@click.option("--priority", type=WholeNumber(-1000, 1000), help="Place in the queue: higher goes first.")
@click.option(
    "--after",
    metavar="RUN",
    multiple=True,
    shell_complete=complete_runs,
    help="Start after this run has succeeded; several times for more.",
)
@click.option(
    "--after-any",
    metavar="RUN",
    multiple=True,
    shell_complete=complete_runs,
    help="Start after this run has ended, however it did.",
)
@click.option("--at", "not_before", type=MomentType(), help="Not before this time: 22:30, or 2026-11-21 22:30.")
@click.option("--delay", type=DurationType(), help="Not before so long from now: 90s, 2h.")
@click.option("--hold", is_flag=True, help="Wait in the queue until `ops queue release`.")
@click.option("--dry-run", is_flag=True, help="Show the exact command, directory and session; touch no pod.")
@click.option("--force", is_flag=True, help="Run again in an existing directory; old files become *.bak-<time>.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=complete_overrides)
@json_option
@click.pass_obj
def submit(options: Options, /, pod: str | None, dry_run: bool, **asked: Any) -> int:
    """Start a run of a preset on a pod, and print its id.

    It starts at once when its GPUs are free; else it waits in the pod's queue (`ops queue list`).

    KEY=VALUE changes one of the preset's overrides, or adds one; --dry-run shows what would run.

    \b
      ops run submit --preset train --pod a100 max_iters=100 --dry-run
    """
    if asked["not_before"] is not None and asked["delay"] is not None:
        raise UsageError("--at and --delay both say when", "give one of them")
    config = options.project(pod)
    check_named(config, asked["preset"], pod, asked["overrides"])
    wanted = Wanted(**asked)
    if pod is None and len(config.pods) == 1:
        pod = next(iter(config.pods))
    if dry_run:
        if pod is None and not config.pods:
            config = replace(config, pods={config.plain_pod().name: config.plain_pod()})
        plan = wanted.plan(config, pod or _one_pod(config))
        _show_plan(options, plan, [*plan.warnings, *_doubts(config, plan)])
        return 0
    # Whatever is wrong with preset, overrides or id is said before any pod is asked.
    doubts = wanted.plan(config, pod or _any_pod(config)).warnings
    for text in () if options.json else doubts:
        say(f"warning: {text}")
    chosen, answer = run_async(_start(options, config, wanted, pod))
    _show_answer(options, chosen, answer, doubts)
    return 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed, but for the pod; `after` and `after_any` as typed too."""

    preset: str
    overrides: tuple[str, ...]
    run_id: str | None
    gpus: GpuRequest
    ref: str | None
    tags: tuple[str, ...]
    priority: int | None
    after: tuple[str, ...]
    after_any: tuple[str, ...]
    not_before: float | None
    delay: float | None
    hold: bool
    force: bool

    def plan(self, config: ProjectConfig, pod: str, parents: Sequence[RunSnapshot] = ()) -> SubmitPlan:
        """`parents` are the runs of `after`, then those of `after_any`."""
        from podops.plan import QueuePlace, plan_submit

        ids = tuple(parent.run_id for parent in parents)
        after, after_any = ids[: len(self.after)], ids[len(self.after) :]
        place = QueuePlace(self.priority, after, after_any, self.delay, self.not_before, self.hold)
        return plan_submit(
            config,
            self.preset,
            pod,
            overrides=self.overrides,
            run_id=self.run_id,
            gpus=self.gpus,
            ref=self.ref,
            tags=self.tags,
            place=place,
        )


async def _start(
    options: Options, config: ProjectConfig, wanted: Wanted, pod: str | None
) -> tuple[str, dict[str, Any]]:
    """The pod that took the run, and its answer."""
    before = (*wanted.after, *wanted.after_any)
    async with open_fleet(options, [pod] if pod else None, about=before, changes=True) as fleet:
        parents = [_parent(fleet, text, pod) for text in before]
        gpus = config.presets[wanted.preset].gpus if wanted.gpus is None else wanted.gpus
        chosen = pod or _pod_of(parents) or _roomiest(fleet.snapshot, gpus)
        for parent in parents:
            if parent.pod != chosen:
                raise UsageError(f"run {parent.run_id} is on {parent.pod}", "a run comes after runs of its own pod")
        return chosen, await fleet.submit(wanted.plan(fleet.config, chosen, parents), force=wanted.force)


def _show_answer(options: Options, pod: str, answer: dict[str, Any], doubts: Sequence[str]) -> None:
    if options.json:
        told = ("run_id", "state", "run_dir", "command", "session", "why")
        warnings = {"warnings": [*doubts, *(answer.get("warnings") or [])]}
        print_json({"ok": True, "pod": pod} | {key: answer.get(key) for key in told} | warnings)
        return
    for text in answer.get("warnings") or []:
        say(f"warning: {text}")
    # First for people: where standard output takes nothing, the run is there all the same.
    say(f"submitted to {pod}: {answer['run_dir']}")
    click.echo(answer["run_id"])
    if answer.get("state") == "held":
        say(f"held: it waits for `ops queue release {answer['run_id']}`")
    elif answer.get("state") == "queued":
        say(f"queued: {by_this_clock(str(answer.get('why') or 'waits for its turn'))}")
    if answer.get("state") in ENDED:
        say(f"it has ended already: {answer['state']}")
    else:
        say(f"follow it with: ops run tail -f {answer['run_id']}")


def _parent(fleet: Fleet, text: str, pod: str | None) -> RunSnapshot:
    """The run to come after; where a pod was named, it alone was asked."""
    try:
        return find_run(fleet, text)
    except NotFoundError:
        if pod is None:
            raise
        raise NotFoundError(
            f"there is no run {text!r} on pod {pod}", "a run comes after runs of its own pod; see `ops run list`"
        ) from None


def _pod_of(parents: Sequence[RunSnapshot]) -> str | None:
    return parents[0].pod if parents else None


def _one_pod(config: ProjectConfig) -> str:
    if len(config.pods) == 1:
        return next(iter(config.pods))
    raise UsageError(
        "a dry run touches no pod, so it cannot choose one", f"name it with --pod ({', '.join(config.pods)})"
    )


def _any_pod(config: ProjectConfig) -> str:
    if not config.pods:
        raise UsageError("the project has no pods", "add one under `pods:` in the project file")
    return next(iter(config.pods))


def _doubts(config: ProjectConfig, plan: SubmitPlan) -> list[str]:
    """What this machine remembers of the pod that speaks against the plan: nobody is asked."""
    if not plan.spec.get("gpus"):
        return []
    from podops.forecast import lacking
    from podops.history.keep import history_of

    history = history_of(config, os.environ, lambda _: None)
    if history is None:
        return []
    try:
        seen = history.recall(config.pods[plan.pod])
    finally:
        history.close()
    if seen is None or not seen.gpus.told:
        return []
    why = lacking(plan, seen.gpus)
    return [f"pod {plan.pod} would refuse it: {why}, as of {ago(seen.as_of)}"] if why else []


def _show_plan(options: Options, plan: SubmitPlan, warnings: Sequence[str]) -> None:
    if options.json:
        print_json(
            {
                "ok": True,
                "dry_run": True,
                "run_id": plan.run_id,
                "pod": plan.pod,
                "state": "planned",
                "run_dir": plan.run_dir,
                "session": plan.session,
                "workdir": plan.workdir,
                "command": plan.command,
                "why": "",
                "warnings": list(warnings),
                "spec": plan.spec,
            }
        )
        return
    click.echo(f"pod        {plan.pod}")
    click.echo(f"command    {clean(plan.command)}")
    click.echo(f"workdir    {plan.workdir or plan.run_dir}")
    click.echo(f"directory  {plan.run_dir}")
    click.echo(f"session    {plan.session or '(no tmux)'}")
    for text in warnings:
        say(f"warning: {text}")


def _roomiest(fleet: FleetSnapshot, wanted: GpuRequest) -> str:
    """The live pod with enough free GPUs and the fewest active runs; says which and why."""
    live = [pod for pod in fleet.pods.values() if pod.state == "live"]
    if not live:
        there = [pod for pod in fleet.pods.values() if pod.state != "gone"] or fleet.pods.values()
        told = "; ".join(f"{pod.name}: {pod.reason or pod.state}" for pod in there)
        raise UnreachableError(f"no pod answers ({told})", "see `ops doctor`")
    count = wanted if isinstance(wanted, int) else len(wanted) if isinstance(wanted, tuple) else 0
    fitting = [pod for pod in live if _free(pod) >= count] or live
    best = min(fitting, key=lambda pod: (_active(pod), -_free(pod), pod.name))
    active = f"{_active(best)} active run{'' if _active(best) == 1 else 's'}"
    gpus = f", {_free(best)} of {len(best.gpus.gpus)} GPUs free" if best.gpus.gpus else ""
    say(f"choosing {best.name}: {active}{gpus}")
    return best.name


def _free(pod: PodSnapshot) -> int:
    return sum(gpu.is_free() for gpu in pod.gpus.gpus)


def _active(pod: PodSnapshot) -> int:
    return sum(run.state in ("starting", "running", "stopping") for run in pod.runs.values())
