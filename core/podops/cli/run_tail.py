"""`ops run tail`."""

from __future__ import annotations

import base64
import os
import sys
from typing import TYPE_CHECKING

import click

from podops.cli.context import Options, find_run, json_option, open_fleet, run_async
from podops.cli.output import json_text, say
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.cli.terminal_filter import TerminalFilter

if TYPE_CHECKING:
    from podops.fleet.snapshot import LogChunk


@click.command()
@run_argument
@pod_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), metavar="N", default=50, show_default=True, help="Lines to begin with."
)
@json_option
@click.pass_obj
def tail(options: Options, position: str | None, run_id: str | None, pod: str | None, follow: bool, lines: int) -> int:
    """The end of a run's log; with -f, as it grows.

    Into a pipe it goes byte for byte; on a terminal, colours stay and everything else that steers one is left out.
    """
    wanted = one_run(position, run_id)
    screen = TerminalFilter() if sys.stdout.isatty() else None

    async def read() -> None:
        async with open_fleet(options, pods_of(pod)) as fleet:
            run = find_run(fleet, wanted)
            stream = fleet.follow(run.pod, run.run_id, project=run.project, tail_lines=lines, lossless=True)
            # Without -f the log as it stands now is all that is wanted.
            stop_at = None if follow else run.log_bytes
            async with stream as chunks:
                if stop_at == 0:
                    say(f"run {run.run_id} has printed nothing" + ("" if run.ended else " yet"))
                    return
                async for chunk in chunks:
                    if options.json:
                        _print_json(chunk)
                    else:
                        _write(screen.feed(chunk.data) if screen else chunk.data)
                    end = chunk.offset + len(chunk.data)
                    chunks.ack(end)
                    if chunk.eof or (stop_at is not None and end >= stop_at):
                        return

    try:
        run_async(read())
    finally:
        if screen is not None:
            _write(screen.end())
    return 0


def _print_json(chunk: LogChunk) -> None:
    try:
        text = {"text": chunk.data.decode("utf-8")}
    except UnicodeDecodeError:
        text = {"base64": base64.b64encode(chunk.data).decode("ascii")}
    if chunk.data or chunk.eof:
        click.echo(json_text({"offset": chunk.offset, "eof": chunk.eof} | text))


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
