"""`ops run status`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from podops.cli.context import Options, find_run, json_option, open_remembering, run_async
from podops.cli.hasten import hasten
from podops.cli.output import clean, print_json
from podops.cli.remembered import error_fields, heartbeat_age, recalled_run
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.cli.run_view import run_status, run_text
from podops.errors import NotFoundError, PodopsError, UnreachableError

if TYPE_CHECKING:
    from podops.fleet.attempts import AttemptRecord
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import RunSnapshot
    from podops.history.history import History

_TAIL_LINES = 50

#: How long the pod may take to answer whoever holds its link, seconds.
_SHARED_S = 3.0


@dataclass(frozen=True, slots=True)
class _Found:
    """A run, and why it is only remembered, if it is."""

    run: RunSnapshot
    gpus: Sequence[dict[str, Any]]
    summary: Mapping[str, Any] | None
    attempts: Sequence[AttemptRecord]
    tail: list[str]
    as_of: float | None = None
    gone_at: float | None = None
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

    begun = time.monotonic()
    found = _shared(options, wanted, pod) if options.share else None
    if found is None:
        hasten(options.config, options.share, pods_of(pod), os.environ)
        left = max(0.1, options.timeout_s - (time.monotonic() - begun))
        found = run_async(_look(replace(options, timeout_s=left), wanted, pod))
    if options.json:
        document = run_status(
            found.run, found.gpus, found.summary, found.attempts, found.tail, found.as_of, found.gone_at
        )
        print_json(document | (error_fields(found.error) if found.error else {}))
    else:
        click.echo(clean(run_text(found.run, found.attempts, found.tail)))
    return found.error.exit_code if found.error else 0


def _shared(options: Options, wanted: str, pod: str | None) -> _Found | None:
    """The run as whoever holds this project's links tells it; in little more time than Python needs to start."""
    from podops.sharing.ask import ask

    # A pod that takes longer leaves time to ask it without help.
    within = min(_SHARED_S, options.timeout_s / 4)
    answer = ask(options.config, os.environ, {"want": "run", "run": wanted, "pod": pod}, within)
    if answer is None:
        return None
    from podops.fleet import wire
    from podops.fleet.attempts import AttemptRecord

    told = answer.header
    run = wire.run(told.get("run"), wire.text(told.get("pod")), 0.0)
    attempts = [AttemptRecord(**attempt) for attempt in told["attempts"]]
    if run is None:
        return None
    return _Found(run, told["gpus"], told["summary"], attempts, _last_lines(answer.payload))


async def _look(options: Options, wanted: str, pod: str | None) -> _Found:
    from podops.fleet.run_look import look_at

    async with open_remembering(options, pods_of(pod), about=[wanted]) as (fleet, history):
        try:
            look = await look_at(fleet, find_run(fleet, wanted))
        except (UnreachableError, NotFoundError) as error:
            return _recalled(history, fleet, wanted, pod, error)
        gpus = [asdict(gpu) for gpu in look.gpus]
        return _Found(look.run, gpus, look.summary, look.attempts, _last_lines(look.tail))


def _recalled(history: History | None, fleet: Fleet, wanted: str, pod: str | None, error: PodopsError) -> _Found:
    one, log, told = recalled_run(history, fleet, wanted, pod, error)
    assert history is not None
    run = replace(one.run, heartbeat_age_s=heartbeat_age(one))
    tail = _last_lines(log.data) if log else []
    return _Found(run, (), history.summary(one), history.attempts(one), tail, one.as_of, one.gone_at, told)


def _last_lines(data: bytes) -> list[str]:
    """The last lines as a terminal would show them: of a line redrawn with carriage returns, the last drawing."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines[-_TAIL_LINES:]]
