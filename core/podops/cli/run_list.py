"""`ops run list` and `ops run status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from podops.cli.context import Options, find_run, json_option, open_fleet, run_async, unreachable
from podops.cli.output import clean, print_json, say
from podops.cli.project_names import complete_presets
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.cli.run_view import run_rows, run_status, run_summary, run_text
from podops.errors import NotFoundError, PodActionError, UnreachableError
from podops_runners.states import STATES

if TYPE_CHECKING:
    from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot

_TAIL_LINES = 50
_TAIL_BYTES = 64 * 1024


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
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many, the newest.")
@json_option
@click.pass_obj
def list_runs(
    options: Options, pod: str | None, states: tuple[str, ...], preset: str | None, active: bool, limit: int | None
) -> int:
    """Every run of every pod that answers, newest first.

    Exit code 4 only when no pod answers; with --json, `unreachable` names those that did not.
    """

    async def look() -> tuple[FleetSnapshot, list[PodSnapshot]]:
        async with open_fleet(options, pods_of(pod)) as fleet:
            return fleet.snapshot, unreachable(fleet)

    fleet, silent = run_async(look())
    runs = [run for run in fleet.runs() if _wanted(run, states, preset, active)][:limit]
    for quiet in silent:
        say(f"pod {quiet.name} is {quiet.state}: {quiet.reason or 'no answer yet'}")
    if options.json:
        told = [{"name": quiet.name, "state": quiet.state, "reason": quiet.reason} for quiet in silent]
        print_json({"ok": True, "runs": [run_summary(run) for run in runs], "unreachable": told})
    else:
        click.echo(run_rows(runs) if runs else "no runs")
    return UnreachableError.exit_code if silent and len(silent) == len(fleet.pods) else 0


def _wanted(run: RunSnapshot, states: tuple[str, ...], preset: str | None, active: bool) -> bool:
    return (
        (not states or run.state in states)
        and (preset is None or run.preset == preset)
        and (not active or not (run.ended or run.state == "lost"))
    )


@click.command("status")
@run_argument
@pod_option
@json_option
@click.pass_obj
def run_status_command(options: Options, position: str | None, run_id: str | None, pod: str | None) -> int:
    """One run in full, with the end of its log."""
    wanted = one_run(position, run_id)

    from podops.fleet.attempts import AttemptRecord, read_attempts

    async def look() -> tuple[RunSnapshot, PodSnapshot, dict[str, Any], tuple[AttemptRecord, ...], list[str]]:
        async with open_fleet(options, pods_of(pod)) as fleet:
            run = find_run(fleet, wanted)
            records = await fleet.run_records(run.pod, run.run_id, project=run.project)
            try:
                _, _, data = await fleet.read(
                    run.pod, run.run_id, "stdout.log", project=run.project, offset=-_TAIL_BYTES, length=_TAIL_BYTES
                )
            except (NotFoundError, PodActionError):
                data = b""
            attempts = await read_attempts(fleet, run)
            return run, fleet.snapshot.pods[run.pod], records, attempts, _last_lines(data)

    run, on, records, attempts, tail = run_async(look())
    if options.json:
        print_json(run_status(run, on, records, attempts, tail))
    else:
        click.echo(clean(run_text(run, attempts, tail)))
    return 0


def _last_lines(data: bytes) -> list[str]:
    """The last lines as a terminal would show them: of a line redrawn with carriage returns, the last drawing."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines[-_TAIL_LINES:]]
