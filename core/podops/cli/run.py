"""`ops run`: submit, list, status, tail, search, wait, kill and attach."""

from __future__ import annotations

import click

from podops.cli.lazy_group import LazyGroup

_COMMANDS = {
    "attach": "podops.cli.run_control:attach",
    "kill": "podops.cli.run_control:kill",
    "list": "podops.cli.run_list:list_runs",
    "search": "podops.cli.run_search:search",
    "status": "podops.cli.run_status:run_status_command",
    "submit": "podops.cli.run_submit:submit",
    "tail": "podops.cli.run_tail:tail",
    "wait": "podops.cli.run_control:wait",
}


@click.group(cls=LazyGroup, commands_in=_COMMANDS)
def run() -> None:
    """Runs: submit, watch and end them."""
