"""A run named by position or by `--run-id`, and the pod it is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from podops.cli.project_names import complete_pods, complete_runs
from podops.errors import UsageError

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
    if (position is None) == (run_id is None):
        raise UsageError("name one run", "`RUN` or `--run-id RUN`; see `ops run list`")
    return position or run_id or ""


def pods_of(pod: str | None) -> list[str] | None:
    return [pod] if pod is not None else None
