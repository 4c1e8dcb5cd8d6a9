"""`ops run tail`."""

from __future__ import annotations

import base64
import json
import os
import re
import sys

import click

from podops.cli.context import Options, find_run, json_option, open_fleet, run_async
from podops.cli.output import say
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.fleet.snapshot import LogChunk

_READ = 1024 * 1024
# Everything a terminal would act on, but for colours (CSI … m); carriage return, tab and newline stay.
_STEERING = re.compile(
    rb"\x1b\[[0-9;:]*m|(\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.?)"
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f])",
    re.DOTALL,
)


@click.command()
@run_argument
@pod_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="Lines to begin with.")
@json_option
@click.pass_obj
def tail(options: Options, position: str | None, run_id: str | None, pod: str | None, follow: bool, lines: int) -> int:
    """The end of a run's log; with -f, as it grows. Into a pipe it goes byte for byte."""
    wanted = one_run(position, run_id)

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
                    _show(chunk, options.json)
                    end = chunk.offset + len(chunk.data)
                    chunks.ack(end)
                    if chunk.eof or (stop_at is not None and end >= stop_at):
                        return

    run_async(read())
    return 0


def _show(chunk: LogChunk, as_json: bool) -> None:
    if as_json:
        try:
            text = {"text": chunk.data.decode("utf-8")}
        except UnicodeDecodeError:
            text = {"base64": base64.b64encode(chunk.data).decode("ascii")}
        if chunk.data or chunk.eof:
            click.echo(json.dumps({"offset": chunk.offset, "eof": chunk.eof} | text, ensure_ascii=False))
        return
    data = chunk.data if not sys.stdout.isatty() else _STEERING.sub(_kept, chunk.data)
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]


def _kept(match: re.Match[bytes]) -> bytes:
    return b"" if match.group(1) is not None else match.group(0)
