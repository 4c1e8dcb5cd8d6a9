"""`ops queue`: what waits on each pod, and changing its order."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from podops.cli.context import (
    Options,
    find_run,
    json_option,
    none_answers,
    open_fleet,
    run_async,
    tell_unreachable,
    unreachable,
)
from podops.cli.number import WholeNumber
from podops.cli.output import duration, print_json, say, table
from podops.cli.project_names import complete_living_runs, complete_pods
from podops.cli.run_argument import pod_option, pods_of
from podops.errors import PodopsError, UnreachableError, UsageError

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import PodSnapshot, RunSnapshot

    Change = Callable[[Fleet, RunSnapshot], Coroutine[Any, Any, dict[str, Any]]]


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def queue(context: click.Context) -> int:
    """Runs that wait on their pod. Without a command: `ops queue list`."""
    return 0 if context.invoked_subcommand else int(context.invoke(list_queue) or 0)


@queue.command("list")
@pod_option
@json_option
@click.pass_obj
def list_queue(options: Options, pod: str | None) -> int:
    """What waits, in its order, and what for."""

    async def look() -> tuple[list[RunSnapshot], list[PodSnapshot], bool]:
        async with open_fleet(options, pods_of(pod), lists=pod is None) as fleet:
            waiting = [run for run in fleet.snapshot.runs() if run.state in ("queued", "held")]
            silent = unreachable(fleet)
            return waiting, silent, none_answers(fleet.snapshot.pods.values(), silent)

    from podops.cli.run_view import run_summary

    waiting, silent, nobody = run_async(look())
    waiting.sort(key=lambda run: (run.pod, run.place or math.inf, -run.priority, run.created_at or 0.0, run.run_id))
    away = tell_unreachable(silent)
    if options.json:
        print_json({"ok": True, "runs": [run_summary(run) for run in waiting], "unreachable": away})
    elif waiting:
        headers = ("POD", "#", "RUN", "STATE", "GPUS", "PRIO", "SINCE", "WAITS FOR")
        click.echo(table(headers, [_row(run) for run in waiting], state_column=3))
    elif not nobody:
        click.echo("nothing waits on the pods that answer" if silent else "nothing waits")
    return UnreachableError.exit_code if nobody else 0


def _row(run: RunSnapshot) -> tuple[str, ...]:
    return (
        run.pod,
        str(run.place or "-"),
        run.run_id,
        run.state,
        run.asked_gpus or "-",
        str(run.priority),
        duration(run.waits_s),
        run.told_detail or "-",
    )


def _changed(
    options: Options,
    runs: tuple[str, ...],
    pods: list[str] | None,
    change: Change,
    told: str,
    as_before: str = "",
    *,
    ends: bool = False,
) -> int:
    """Do `change` to each run, tell each, and go on after one that cannot be changed; the exit code.

    `as_before` is told of a run that was so already. What `ends` a run must be beyond doubt.
    """
    if not runs:
        raise UsageError("name at least one run", "see `ops queue list`")

    async def work() -> list[Outcome]:
        async with open_fleet(options, pods, about=runs, changes=True) as fleet:
            # All of them first: of a list with a mistake in it nothing is done.
            chosen = [find_run(fleet, text, beyond_doubt=ends) for text in runs]
            once = {(run.project, run.run_id): run for run in chosen}
            order = _later_first(list(once.values())) if ends else list(once.values())
            outcomes = {id(run): await _outcome(fleet, run, change) for run in order}
            return [outcomes[id(run)] for run in once.values()]

    outcomes = run_async(work())
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if failed and len(outcomes) == 1:
        raise failed[0]
    for outcome in outcomes:
        done = told if outcome.changed else as_before or told
        say(f"{outcome.run_id} {done}" if outcome.error is None else f"{outcome.run_id}: {_in_full(outcome.error)}")
    if options.json:
        print_json({"ok": not failed, "runs": [outcome.wire() for outcome in outcomes]})
    return failed[0].exit_code if failed else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run that was named."""

    run_id: str
    pod: str
    state: str
    error: PodopsError | None = None
    changed: bool = True

    def wire(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"run_id": self.run_id, "pod": self.pod, "state": self.state, "changed": self.changed}
        if self.error is not None:
            error = self.error
            facts["error"] = {"code": error.error_code, "message": error.message, "hint": error.hint}
        return facts


def _later_first(runs: list[RunSnapshot]) -> list[RunSnapshot]:
    """What comes after another of `runs` stands before it: the end of that one would end it, too."""
    left, ordered = list(runs), []
    while left:
        awaited = {(run.pod, parent) for run in left for parent in run.after}
        last = [run for run in left if (run.pod, run.run_id) not in awaited] or left
        ordered += last
        left = [run for run in left if run not in last]
    return ordered


async def _outcome(fleet: Fleet, run: RunSnapshot, change: Change) -> Outcome:
    try:
        answer = await change(fleet, run)
    except PodopsError as error:
        return Outcome(run.run_id, run.pod, run.state, error, changed=False)
    pod, state = str(answer.get("pod", run.pod)), str(answer.get("state") or run.state)
    return Outcome(run.run_id, pod, state, changed=answer.get("changed") is not False)


def _in_full(error: PodopsError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _simple(action: str) -> Change:
    return lambda fleet, run: fleet.queue(run.pod, run.run_id, action, project=run.project)


@queue.command()
@click.argument("runs", nargs=-1, metavar="RUN...", shell_complete=complete_living_runs)
@pod_option
@json_option
@click.pass_obj
def hold(options: Options, runs: tuple[str, ...], pod: str | None) -> int:
    """Keep waiting runs from starting until they are released."""
    return _changed(options, runs, pods_of(pod), _simple("hold"), "is held", "was held already")


@queue.command()
@click.argument("runs", nargs=-1, metavar="RUN...", shell_complete=complete_living_runs)
@pod_option
@json_option
@click.pass_obj
def release(options: Options, runs: tuple[str, ...], pod: str | None) -> int:
    """Let held runs start when it is their turn."""
    return _changed(
        options, runs, pods_of(pod), _simple("release"), "is released", "was not held: it waits for its turn"
    )


@queue.command()
@click.argument("runs", nargs=-1, metavar="RUN...", shell_complete=complete_living_runs)
@pod_option
@json_option
@click.pass_obj
def cancel(options: Options, runs: tuple[str, ...], pod: str | None) -> int:
    """End waiting runs before they start.

    A run that has started is ended by `ops run kill`.
    """
    return _changed(options, runs, pods_of(pod), _simple("cancel"), "is cancelled", ends=True)


@queue.command()
@click.argument("value", type=WholeNumber(-1000, 1000), metavar="VALUE")
@click.argument("runs", nargs=-1, metavar="RUN...", shell_complete=complete_living_runs)
@pod_option
@json_option
@click.pass_obj
def priority(options: Options, value: int, runs: tuple[str, ...], pod: str | None) -> int:
    """Give waiting runs another priority; higher goes first.

    Write `--` before a negative VALUE: `ops queue priority -- -5 RUN`.
    """

    def change(fleet: Fleet, run: RunSnapshot) -> Coroutine[Any, Any, dict[str, Any]]:
        return fleet.queue(run.pod, run.run_id, "priority", project=run.project, value=value)

    return _changed(options, runs, pods_of(pod), change, f"has priority {value}")


@queue.command()
@click.argument("runs", nargs=-1, metavar="RUN...", shell_complete=complete_living_runs)
@click.option(
    "--to", "target", metavar="POD", required=True, shell_complete=complete_pods, help="The pod that shall run them."
)
@pod_option
@json_option
@click.pass_obj
def move(options: Options, runs: tuple[str, ...], target: str, pod: str | None) -> int:
    """Take waiting runs from their pod's queue into another pod's.

    The command is made anew for the other pod (its directories, its Python). A run that comes after others cannot be
    moved, nor can one that others come after: they would not find each other.
    """
    from podops.queue_move import move_run

    config = options.project()
    pods = None if pod is None else list(dict.fromkeys([pod, target]))

    async def change(fleet: Fleet, run: RunSnapshot) -> dict[str, Any]:
        # It shows only in the target's own list whether both are on one volume.
        await fleet.until(lambda: target not in fleet.unsettled(), options.timeout_s)
        return await move_run(config, fleet, run, target)

    return _changed(options, runs, pods, change, f"is on {target} now")
