"""`ops run tail`."""

from __future__ import annotations

import base64
import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from podops.cli.context import Options, find_run, json_option, open_remembering, run_async
from podops.cli.lazy_group import until_ctrl_c
from podops.cli.link_breaks import told_breaks
from podops.cli.number import WholeNumber
from podops.cli.output import iso, json_text, say, size
from podops.cli.remembered import recalled_log
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.cli.terminal_filter import TerminalFilter
from podops.errors import NotFoundError, PodActionError, UnreachableError

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet
    from podops.fleet.memory import RecalledLog
    from podops.fleet.run_files import LogStream
    from podops.fleet.snapshot import LogChunk, RunSnapshot

#: Behind the end of any log.
_FAR = 2**62


@click.command()
@run_argument
@pod_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "-n", "--lines", type=WholeNumber(min=0), metavar="N", default=50, show_default=True, help="Lines to begin with."
)
@click.option(
    "--attempt",
    type=WholeNumber(min=1),
    metavar="N",
    help="All that attempt N printed, or with -n the end of that, instead of the end of the whole log.",
)
@json_option
@click.pass_context
def tail(
    context: click.Context,
    position: str | None,
    run_id: str | None,
    pod: str | None,
    follow: bool,
    lines: int,
    attempt: int | None,
) -> int:
    """The end of a run's log; with -f, as it grows.

    Into a pipe it goes byte for byte; on a terminal, colours stay and everything else that steers one is left out.
    Where an attempt begins, and what `max_log_size` has freed, is told on standard error.
    Of a run that no pod tells now, what this machine remembers; the exit code is 4 or 3 all the same.
    """
    options: Options = context.obj
    wanted = one_run(position, run_id)
    whole = attempt is not None and context.get_parameter_source("lines") is click.core.ParameterSource.DEFAULT
    printer = _Json() if options.json else _Text()

    async def read() -> int:
        async with open_remembering(options, pods_of(pod), about=[wanted]) as (fleet, history):
            try:
                run = find_run(fleet, wanted)
            except (UnreachableError, NotFoundError) as error:
                _, log, told = recalled_log(history, fleet, wanted, pod, error)
                if log is not None:
                    _print_remembered(log, lines, printer)
                return told.exit_code
            start, end = await _range(fleet, run, attempt)
            chosen = fleet.follow(
                run.pod,
                run.run_id,
                project=run.project,
                offset=start if whole else None,
                tail_lines=lines,
                within=None if attempt is None else (start, _FAR if end is None else end),
                lossless=True,
            )
            with told_breaks(fleet, [run.pod]):
                async with chosen as chunks:
                    # Without -f the log as it stands now is all that is wanted.
                    stop_at = chunks.size if end is None and not follow else end
                    if stop_at is not None and stop_at <= start:
                        words = run.not_started or "has printed nothing" + ("" if run.ended else " yet")
                        say("; ".join([f"run {run.run_id} {words}", *run.problems]))
                        return 0
                    if run.waiting and not options.json:
                        say(f"run {run.run_id} {run.not_started}")
                    await _print(chunks, printer, attempt, stop_at, run.run_id)
            return 0

    try:
        with until_ctrl_c() if follow else nullcontext():
            return run_async(read())
    except PodActionError as error:
        # As `run search` ends, whose 1 says that nothing was found.
        raise UnreachableError(error.message, error.hint, code=error.error_code) from error
    finally:
        printer.end()


def _print_remembered(log: RecalledLog, lines: int, printer: _Printer) -> None:
    from podops.fleet.snapshot import LogChunk

    # As a pod counts them: what is redrawn with carriage returns is one line.
    kept = log.data.split(b"\n")
    lines += not kept[-1]
    data = b"\n".join(kept[max(0, len(kept) - lines) :]) if lines else b""
    printer.as_of = iso(log.as_of)
    printer.print(LogChunk(log.start + len(log.data) - len(data), data, eof=log.complete), marks=False)


async def _range(fleet: Fleet, run: RunSnapshot, attempt: int | None) -> tuple[int, int | None]:
    """From where to where the log is wanted; `None` is its end."""
    if attempt is None:
        return 0, None
    from podops.fleet.attempts import log_range, read_attempts

    return log_range(run, await read_attempts(fleet, run), attempt)


async def _print(chunks: LogStream, printer: _Printer, attempt: int | None, stop_at: int | None, run_id: str) -> None:
    async for chunk in chunks:
        if chunk.trouble and stop_at is not None:
            # What is wanted is there, or was: nothing to wait for.
            raise UnreachableError(f"run {run_id}: {chunk.trouble}", "see `ops run list`")
        if chunk.trouble is not None:
            printer.note(f"run {run_id}: {chunk.trouble or 'its log can be read again'}")
        if chunk.anew and (attempt is not None or stop_at is not None):
            return  # what was asked for is no more
        if attempt is not None and chunk.begin is not None and chunk.begin.number > attempt:
            return
        alone = attempt is not None
        printer.print(_cut(chunk, stop_at) if alone and stop_at is not None else chunk, marks=not alone)
        end = chunk.offset + len(chunk.data)
        chunks.ack(end)
        if chunk.eof or (stop_at is not None and end >= stop_at):
            return


def _cut(chunk: LogChunk, end: int) -> LogChunk:
    from dataclasses import replace

    return replace(chunk, data=chunk.data[: max(0, end - chunk.offset)])


class _Printer:
    #: When what is printed was so, if it is only remembered.
    as_of: str | None = None

    def print(self, chunk: LogChunk, *, marks: bool) -> None:
        """Print a chunk; with `marks`, say where an attempt begins."""
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Tell this on standard error, in a line of its own."""
        say(text)

    def end(self) -> None: ...


class _Text(_Printer):
    def __init__(self) -> None:
        self._screen = TerminalFilter() if sys.stdout.isatty() else None
        self._in_line = False

    def print(self, chunk: LogChunk, *, marks: bool) -> None:
        if chunk.anew:
            self.note("── the run was submitted anew, its log begins ──")
        if chunk.gap:
            self.note(f"⋯ {size(chunk.gap)} freed here by max_log_size ⋯")
        if marks and chunk.begin is not None:
            after = f", after {chunk.begin.after}" if chunk.begin.after else ""
            self.note(f"── attempt {chunk.begin.number}{after} ──")
        _write(self._screen.feed(chunk.data) if self._screen else chunk.data)
        self._in_line = not chunk.data.endswith(b"\n") if chunk.data else self._in_line

    def end(self) -> None:
        if self._screen is not None:
            _write(self._screen.end())

    def note(self, text: str) -> None:
        if self._screen is not None and self._in_line:
            _write(b"\n")
        say(text)


class _Json(_Printer):
    def print(self, chunk: LogChunk, *, marks: bool) -> None:
        try:
            text = {"text": chunk.data.decode("utf-8")}
        except UnicodeDecodeError:
            text = {"base64": base64.b64encode(chunk.data).decode("ascii")}
        told: dict[str, object] = {"offset": chunk.offset, "eof": chunk.eof}
        if chunk.anew:
            told["anew"] = True
        if chunk.gap:
            told["gap"] = chunk.gap
        if chunk.begin is not None:
            told |= {"attempt": chunk.begin.number, "after": chunk.begin.after}
        if self.as_of is not None:
            told |= {"source": "history", "as_of": self.as_of}
        if chunk.data or chunk.eof:
            click.echo(json_text(told | text))


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
