"""`ops demo`: an embedded fleet of local pods with small real runs."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from podops.cli.context import Options, json_option, run_async
from podops.cli.number import WholeNumber
from podops.cli.output import say
from podops.cli.streams import need_terminal

#: What ends the demo and must not leave its runs behind.
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option("--headless", is_flag=True, help="Without the app: submit, wait, print the fleet, exit 0 if all is well.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Keep everything here; without it, in a temporary directory.",
)
@click.option(
    "--simulate-gpus", type=WholeNumber(0, 64), metavar="N", default=0, help="Show so many simulated GPUs per pod."
)
@json_option
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.pass_obj
def demo(
    options: Options, headless: bool, directory: Path | None, simulate_gpus: int, overrides: tuple[str, ...]
) -> int:
    """Try podops on three local pods with small real runs.

    Two trainings, a server and a crash; with --headless an evaluation, too. Overrides such as max_iters=50 go to the
    trainings. The runs end with the demo.
    """
    if not headless:
        need_terminal("`ops demo --headless` needs none")
    from podops.demo.demo import prepare_demo

    prepared = prepare_demo(directory, simulate_gpus)
    prepared.take_machine()
    for number in _ENDINGS:
        signal.signal(number, _end)
    try:
        if headless:
            from podops.demo.headless import run_headless

            say(f"demo fleet in {prepared.directory}; this takes a minute or two")
            return run_async(run_headless(prepared, options.json, overrides))
        from podops_tui.app import run_app
        from podops_tui.demo_app import DemoApp

        return run_app(DemoApp(prepared.config, on_start=lambda fleet: prepared.first_runs(fleet, overrides)))
    finally:
        # Told once is enough: a terminal that goes sends both.
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            say("ending the demo's runs…")
        prepared.close()


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)
