"""`ops run`: submit, list, status, tail, wait, kill and attach."""

from __future__ import annotations

import click

from podops.cli.run_control import attach, kill, wait
from podops.cli.run_list import list_runs
from podops.cli.run_status import run_status_command
from podops.cli.run_submit import submit
from podops.cli.run_tail import tail


@click.group()
def run() -> None:
    """Runs: submit, watch and end them."""


for _command in (submit, list_runs, run_status_command, tail, wait, kill, attach):
    run.add_command(_command)
