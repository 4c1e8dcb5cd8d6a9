"""`ops run list`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from podops.cli.context import (
    Options,
    json_option,
    none_answers,
    open_remembering,
    run_async,
    tell_unreachable,
    unreachable,
)
from podops.cli.number import WholeNumber
from podops.cli.output import print_json, say, say_hint
from podops.cli.project_names import complete_presets
from podops.cli.remembered import age_of, as_pods_tell, error_fields, pod_left
from podops.cli.run_argument import pod_option, pods_of
from podops.cli.run_view import run_rows, run_summary
from podops.errors import NotFoundError, PodopsError, UnreachableError
from podops_runners.states import STATES

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
    from podops.history.recall import RememberedRun


@click.command("list")
@pod_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES),
    help="Only runs in this state; may be given several times.",
)
@click.option("--preset", metavar="NAME", shell_complete=complete_presets, help="Only runs of this preset.")
@click.option("--active", is_flag=True, help="Only runs that have not ended.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also what is remembered: runs of pods that do not answer, of pods that are gone, and removed ones.",
)
@click.option("-n", "--limit", type=WholeNumber(min=1), metavar="N", help="At most so many, the newest.")
@json_option
@click.pass_obj
def list_runs(
    options: Options,
    pod: str | None,
    states: tuple[str, ...],
    preset: str | None,
    active: bool,
    everything: bool,
    limit: int | None,
) -> int:
    """Every run of every pod that answers, newest first.

    Exit code 4 only when no pod answers; with --json, `unreachable` names those that did not.
    """
    seen = _seen(options, pod, everything)
    silent = seen.silent
    hidden = 0 if everything else sum(one.run.pod in {quiet.name for quiet in silent} for one in seen.remembered)
    more = seen.remembered if everything else []
    old = {(one.run.project, one.run.run_id): one for one in more}
    runs = [run for run in (*seen.fleet.runs(), *(one.run for one in more)) if _wanted(run, states, preset, active)]
    runs = sorted(runs, key=lambda run: (run.created_at or 0.0, run.run_id), reverse=True)[:limit]
    told = tell_unreachable(silent)
    nobody = none_answers(seen.fleet.pods.values(), silent)
    if hidden:
        say(f"what is remembered of {'a run' if hidden == 1 else f'{hidden} runs'} there is shown with --all")
    if options.json:
        recalled = [old.get((run.project, run.run_id)) for run in runs]
        shown = [
            run_summary(run, one.as_of, one.gone_at) if one else run_summary(run)
            for run, one in zip(runs, recalled, strict=True)
        ]
        fields = {} if seen.error is None else error_fields(seen.error)
        print_json({"ok": True, "runs": shown, "unreachable": told} | fields)
    else:
        ages = {key: age_of(one, seen.config) for key, one in old.items()}
        if runs:
            click.echo(run_rows(runs, ages))
        elif not nobody:
            click.echo("no runs on the pods that answer" if silent else "no runs")
    if seen.error is not None:
        return seen.error.exit_code
    return UnreachableError.exit_code if nobody else 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the pods tell, who keeps silent, and what is remembered beside that."""

    config: ProjectConfig
    fleet: FleetSnapshot
    silent: list[PodSnapshot]
    remembered: list[RememberedRun]
    #: Why no pod was asked.
    error: PodopsError | None = None


def _seen(options: Options, pod: str | None, everything: bool) -> _Seen:
    try:
        return run_async(_asked(options, pod, everything))
    except NotFoundError:
        left = _left_behind(options, pod) if everything and pod else None
        if left is None:
            raise
    return left


async def _asked(options: Options, pod: str | None, everything: bool) -> _Seen:
    async with open_remembering(options, pods_of(pod), lists=pod is None) as (fleet, history):
        told = fleet.snapshot.told()
        known = {(run.project, run.run_id) for run in told.runs()}
        silent = unreachable(fleet)
        remembered = history.runs() if (everything or silent) and history else []
        more = [one for one in remembered if (one.run.project, one.run.run_id) not in known]
        more = [as_pods_tell(one, fleet) for one in more if pod in (None, one.run.pod)]
        return _Seen(fleet.config, told, silent, more)


def _left_behind(options: Options, pod: str) -> _Seen | None:
    """What is remembered of `pod`, which the project does not have, and says so; `None` when that is nothing."""
    from podops.fleet.snapshot import FleetSnapshot
    from podops.history.keep import history_of

    config = options.project()
    history = history_of(config, os.environ, lambda _: None)
    if history is None:
        return None
    try:
        runs = [one for one in history.runs() if one.run.pod == pod]
    finally:
        history.close()
    if not runs:
        return None
    error = pod_left(pod)
    say(f"{error.message}; this is what is remembered of it")
    say_hint(error.hint)
    return _Seen(config, FleetSnapshot(), [], runs, error)


def _wanted(run: RunSnapshot, states: tuple[str, ...], preset: str | None, active: bool) -> bool:
    return (
        (not states or run.state in states)
        and (preset is None or run.preset == preset)
        and (not active or not (run.ended or run.state == "lost"))
    )
