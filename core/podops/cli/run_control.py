"""`ops run wait`, `kill` and `attach`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from podops.cli.context import Options, find_run, json_option, open_fleet, run_async
from podops.cli.lazy_group import until_ctrl_c
from podops.cli.link_breaks import told_breaks
from podops.cli.number import Number
from podops.cli.output import json_text, print_json, say
from podops.cli.project_names import complete_living_runs
from podops.cli.question import confirmed
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.cli.streams import drop_stdout, need_terminal
from podops.errors import PodopsError, RefusedActionError, UnreachableError, UsageError
from podops_runners.states import AWAITS_RELEASE

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import RunSnapshot

#: A pod that stays silent for so long while one waits for its run ends the waiting, seconds.
_SILENCE_S = 120.0


async def wait_until_ended(
    fleet: Fleet, runs: Sequence[RunSnapshot], tell: Callable[[RunSnapshot], None]
) -> list[RunSnapshot]:
    """Tell each change of state until every run has ended (or is lost), and return them as they ended.

    Raises `UnreachableError` when a pod stays away.
    """
    import asyncio

    from podops.fleet.find_run import as_it_is

    changed = asyncio.Event()
    stop = fleet.subscribe(lambda _: changed.set())
    told: dict[str, str] = {}
    try:
        while True:
            now = [as_it_is(fleet.snapshot.pods[run.pod], run) for run in runs]
            for run in now:
                if told.get(run.run_id) != run.state:
                    told[run.run_id] = run.state
                    tell(run)
            if all(run.ended or run.state == "lost" for run in now):
                return now
            changed.clear()
            try:
                await asyncio.wait_for(changed.wait(), _SILENCE_S)
            except TimeoutError:
                raise UnreachableError("the pod stopped answering", "the run goes on without us; try again") from None
    finally:
        stop()


def _tell_json(run: RunSnapshot) -> None:
    try:
        click.echo(json_text(_brief(run)))
    except BrokenPipeError:
        # Nobody reads along any more; how it ends is still told by the exit code.
        drop_stdout()


def _tell_person(run: RunSnapshot) -> None:
    known = run.detail if run.state == "lost" else run.reason
    reason = f" ({known})" if known and known != "ok" else ""
    click.echo(f"{run.run_id}  {run.state}{reason}", err=True)


def _brief(run: RunSnapshot) -> dict[str, object]:
    return {"run_id": run.run_id, "pod": run.pod, "state": run.state, "reason": run.reason}


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=complete_living_runs)
@click.option(
    "--run-id", metavar="ID", shell_complete=complete_living_runs, help="The run, in full or by a unique prefix."
)
@pod_option
@click.option("--timeout-s", type=Number(min=0), metavar="SECONDS", help="Give up after so long, with exit code 1.")
@json_option
@click.pass_obj
def wait(options: Options, runs: tuple[str, ...], run_id: str | None, pod: str | None, timeout_s: float | None) -> int:
    """Wait until runs have ended.

    Exit code 0 when all of them succeeded, 1 when not. Each change of state is told: on standard error, with --json
    as one line of JSON on standard output.
    """
    import asyncio

    wanted = [*runs, *([run_id] if run_id else [])]
    if not wanted:
        raise UsageError("name at least one run", "see `ops run list`")

    async def work() -> list[RunSnapshot]:
        async with open_fleet(options, pods_of(pod), about=wanted) as fleet, asyncio.timeout(timeout_s):
            chosen = [find_run(fleet, text) for text in wanted]
            with told_breaks(fleet, [run.pod for run in chosen]):
                return await wait_until_ended(fleet, chosen, _tell_json if options.json else _tell_person)

    try:
        with until_ctrl_c():
            ended = run_async(work())
    except TimeoutError:
        raise PodopsError(f"not all ended within {timeout_s:g} s", "they go on; wait again") from None
    return 0 if all(run.state == "succeeded" for run in ended) else 1


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=complete_living_runs)
@click.option(
    "--run-id", metavar="ID", shell_complete=complete_living_runs, help="The run, in full or by a unique prefix."
)
@pod_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--grace",
    type=Number(min=0),
    metavar="SECONDS",
    help="From SIGINT to SIGTERM, and again to SIGKILL; without it, the preset's.",
)
@click.option("--no-wait", is_flag=True, help="Return as soon as the request is stored on the pod.")
@json_option
@click.pass_obj
def kill(
    options: Options,
    runs: tuple[str, ...],
    run_id: str | None,
    pod: str | None,
    yes: bool,
    grace: float | None,
    no_wait: bool,
) -> int:
    """End runs: gently first, then the whole process tree.

    SIGINT, after a grace period SIGTERM, after another SIGKILL. Asks first, and needs --yes where there is no terminal.
    Returns when the runs have ended.
    """
    wanted = [*runs, *([run_id] if run_id else [])]
    if not wanted:
        raise UsageError("name at least one run", "see `ops run list --active`")
    if not yes and not sys.stdin.isatty():
        raise UsageError("kill asks first, and there is no terminal to ask on", "add --yes")

    async def work() -> list[RunSnapshot]:
        async with open_fleet(options, pods_of(pod), about=wanted, changes=True) as fleet:
            # Where nobody is asked, nobody sees which run a few letters have come to name.
            chosen = [find_run(fleet, text, beyond_doubt=yes) for text in wanted]
            alive = [run for run in chosen if not run.ended]
            for run in chosen:
                if run.ended:
                    say(f"{run.run_id} has ended already: {run.state}")
            if alive and not yes and not await _confirmed(alive):
                raise RefusedActionError("nothing was killed")
            for run in alive:
                await fleet.kill(run.pod, run.run_id, project=run.project, grace_s=grace)
                say(f"asked {run.run_id} on {run.pod} to stop")
            if no_wait or not alive:
                return chosen
            with told_breaks(fleet, [run.pod for run in alive]):
                ended = await wait_until_ended(fleet, alive, _tell_person)
            return [*(run for run in chosen if run.ended), *ended]

    ended = run_async(work())
    if options.json:
        print_json({"ok": True, "runs": [_brief(run) for run in ended]})
    return 0


async def _confirmed(runs: Sequence[RunSnapshot]) -> bool:
    for run in runs:
        say(f"  {run.run_id}  on {run.pod}  {run.state}  {run.preset}")
    return await confirmed(f"Kill {'this run' if len(runs) == 1 else f'these {len(runs)} runs'}?")


@click.command()
@run_argument
@pod_option
@click.pass_obj
def attach(options: Options, position: str | None, run_id: str | None, pod: str | None) -> int:
    """Open a run's tmux session in this terminal.

    ctrl-b d leaves it and comes back; ctrl-c in it ends the run.
    """
    need_terminal("`ops run tail -f RUN` follows its log without one", "attach")
    wanted = one_run(position, run_id)

    async def look() -> RunSnapshot:
        async with open_fleet(options, pods_of(pod), about=[wanted]) as fleet:
            return find_run(fleet, wanted)

    run = run_async(look())
    from podops.attach import NO_SESSION, attach_argv, cannot_attach, session_gone

    if why := cannot_attach(run):
        raise RefusedActionError(f"run {run.run_id} {why}", _instead(run))
    config = options.project()
    nested = bool(os.environ.get("TMUX"))
    argv = attach_argv(config.pods[run.pod], run.session, config.tmux.socket, nested=nested)
    status = subprocess.run(argv, check=False).returncode
    if status == NO_SESSION:
        raise session_gone(run)
    return status


def _instead(run: RunSnapshot) -> str:
    """What to do with a run that cannot be attached to."""
    if not run.waiting:
        return f"read it with: ops run tail {run.run_id}"
    if run.detail == AWAITS_RELEASE:
        return f"let it start with: ops queue release {run.run_id}"
    return f"`ops queue` tells its place; `ops run tail -f {run.run_id}` waits for what it prints"
