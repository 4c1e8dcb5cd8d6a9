"""`ops tui`: the app."""

from __future__ import annotations

import click

from podops.cli.context import Options
from podops.cli.streams import need_terminal


@click.command()
@click.option("--read-only", is_flag=True, help="Leave out every action that changes something.")
@click.pass_obj
def tui(options: Options, read_only: bool = False) -> int:
    """Open the app: every pod, every run, live."""
    need_terminal("`ops status` prints the fleet")
    config = options.project()
    from podops_tui.app import OpsApp, run_app
    from podops_tui.keeping import Keeping

    return run_app(OpsApp(config, read_only=read_only, keeping=Keeping(config, share=options.share)))
