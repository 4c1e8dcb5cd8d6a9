"""`ops run status`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from podops.cli.context import Options, find_run, json_option, open_remembering, run_async
from podops.cli.output import clean, print_json
from podops.cli.remembered import error_fields, heartbeat_age, recalled_run
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.cli.run_view import run_status, run_text
from podops.errors import NotFoundError, PodActionError, PodopsError, UnreachableError

if TYPE_CHECKING:
    from podops.fleet.attempts import AttemptRecord
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import RunSnapshot
    from podops.history.history import History

_TAIL_LINES = 50
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Found:
    """A run, and why it is only remembered, if it is."""

    run: RunSnapshot
    gpus: Sequence[dict[str, Any]]
    summary: dict[str, Any] | None
    attempts: Sequence[AttemptRecord]
    tail: list[str]
    as_of: float | None = None
    error: PodopsError | None = None


@click.command("status")
@run_argument
@pod_option
@json_option
@click.pass_obj
def run_status_command(options: Options, position: str | None, run_id: str | None, pod: str | None) -> int:
    """One run in full, with the end of its log.

    Of a run that no pod tells now, what this machine remembers; the exit code is 4 or 3 all the same.
    """
    wanted = one_run(position, run_id)

    async def look() -> _Found:
        async with open_remembering(options, pods_of(pod)) as (fleet, history):
            try:
                return await _told(fleet, wanted)
            except (UnreachableError, NotFoundError) as error:
                return _recalled(history, wanted, pod, error)

    found = run_async(look())
    if options.json:
        document = run_status(found.run, found.gpus, found.summary, found.attempts, found.tail, found.as_of)
        print_json(document | (error_fields(found.error) if found.error else {}))
    else:
        click.echo(clean(run_text(found.run, found.attempts, found.tail)))
    return found.error.exit_code if found.error else 0


async def _told(fleet: Fleet, wanted: str) -> _Found:
    from podops.fleet.attempts import read_attempts

    run = find_run(fleet, wanted)
    records = await fleet.run_records(run.pod, run.run_id, project=run.project)
    try:
        _, _, data = await fleet.read(
            run.pod, run.run_id, "stdout.log", project=run.project, offset=-_TAIL_BYTES, length=_TAIL_BYTES
        )
    except (NotFoundError, PodActionError):
        data = b""
    attempts = await read_attempts(fleet, run)
    gpus = [asdict(gpu) for gpu in fleet.snapshot.pods[run.pod].gpus.gpus]
    return _Found(run, gpus, records.get("summary"), attempts, _last_lines(data))


def _recalled(history: History | None, wanted: str, pod: str | None, error: PodopsError) -> _Found:
    one = recalled_run(history, wanted, pod, error)
    assert history is not None
    log = history.log(one)
    run = replace(one.run, heartbeat_age_s=heartbeat_age(one))
    return _Found(run, (), history.summary(one), (), _last_lines(log.data) if log else [], one.as_of, error)


def _last_lines(data: bytes) -> list[str]:
    """The last lines as a terminal would show them: of a line redrawn with carriage returns, the last drawing."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines[-_TAIL_LINES:]]
