"""A run named by position or by `--run-id`, and the pod it is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from podops.cli.output import clean
from podops.cli.project_names import complete_pods, complete_runs, newest_seen
from podops.errors import UsageError

#: Where none is named, so many of those seen last are told.
_NAMED = 3

F = TypeVar("F", bound=Callable[..., Any])


def pod_option(command: F) -> F:
    return click.option("--pod", metavar="NAME", shell_complete=complete_pods, help="Look on this pod only.")(command)


def run_argument(command: F) -> F:
    """Adds `RUN` and `--run-id` as `position` and `run_id`; `one_run` joins them."""
    command = click.option(
        "--run-id", metavar="ID", shell_complete=complete_runs, help="The run, in full or by a unique prefix."
    )(command)
    return click.argument("position", metavar="[RUN]", required=False, shell_complete=complete_runs)(command)


def one_run(position: str | None, run_id: str | None) -> str:
    """Raises `UsageError` unless exactly one way was used."""
    if position is None and run_id is None:
        seen = ", ".join(f"{run.run_id} ({run.state} on {run.pod})" for run in newest_seen(_NAMED))
        told = f"seen last: {clean(seen)}; `ops run list` has all" if seen else "see `ops run list`"
        raise UsageError("name one run", f"`RUN` or `--run-id RUN`; {told}")
    if position is not None and run_id is not None:
        raise UsageError("name one run", "either `RUN` or `--run-id RUN`")
    return position or run_id or ""


def pods_of(pod: str | None) -> list[str] | None:
    return [pod] if pod is not None else None
