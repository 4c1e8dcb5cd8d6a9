"""`ops run search`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from podops.cli.context import Options, find_run, json_option, open_remembering, run_async
from podops.cli.match_printer import JsonMatches, MatchPrinter, TextMatches
from podops.cli.output import iso, say, size
from podops.cli.project_names import complete_runs
from podops.cli.remembered import recalled_log
from podops.cli.run_argument import one_run, pod_option, pods_of
from podops.errors import NotFoundError, PodActionError, UnreachableError, UsageError

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet
    from podops.fleet.log_search import LogQuery
    from podops.fleet.memory import RecalledLog
    from podops.fleet.snapshot import RunSnapshot
    from podops.history.recall import RememberedRun

#: More of a line than this is not printed, bytes.
_TEXT_BYTES = 64 * 1024


@click.command()
@click.argument("words", nargs=-1, metavar="[RUN] PATTERN", shell_complete=complete_runs)
@click.option("--run-id", metavar="ID", shell_complete=complete_runs, help="The run, in full or by a unique prefix.")
@pod_option
@click.option("-F", "--fixed", is_flag=True, help="The pattern is plain text, not a regular expression.")
@click.option("-i", "--ignore-case", is_flag=True, help="Upper and lower case are the same.")
@click.option("-m", "--max-count", type=click.IntRange(min=1), metavar="N", help="Stop after N lines.")
@click.option("-n", "--line-number", is_flag=True, help="Print the number of each line before it.")
@click.option("-b", "--byte-offset", "--offsets", is_flag=True, help="Print where each line begins in the log, bytes.")
@click.option("-c", "--count", is_flag=True, help="Print only how many lines there are.")
@click.option("-r", "--reverse", is_flag=True, help="From the end backwards: the last line first.")
@click.option(
    "--attempt", type=click.IntRange(min=1), metavar="N", help="Search what attempt N printed, not the whole log."
)
@json_option
@click.pass_obj
def search(
    options: Options,
    words: tuple[str, ...],
    run_id: str | None,
    pod: str | None,
    fixed: bool,
    ignore_case: bool,
    max_count: int | None,
    line_number: bool,
    byte_offset: bool,
    count: bool,
    reverse: bool,
    attempt: int | None,
) -> int:
    """The lines of a log that hold PATTERN, as grep has it.

    The pod searches, so that a log of any size is not copied. PATTERN is a regular expression of Python's; colours and
    other escape sequences are no part of a line. The log is searched as it is when the search begins.
    Exit code 0: found, 1: not found, others: as ever. Of a run that no pod tells now, the end of its log that this
    machine remembers is searched; the exit code is 4 or 3 then.
    """
    from podops.fleet.log_search import LogQuery

    wanted, pattern = _named(words, run_id)
    if reverse and line_number:
        raise UsageError("--line-number and --reverse do not go together", "-b tells where each line is")
    query = LogQuery(
        pattern,
        literal=fixed,
        ignore_case=ignore_case,
        backward=reverse,
        most=max_count,
        text_bytes=_TEXT_BYTES,
        numbered=line_number,
        only_count=count and max_count is None,
    )
    printer: MatchPrinter = JsonMatches(count) if options.json else TextMatches(line_number, byte_offset, count)

    async def work() -> int:
        async with open_remembering(options, pods_of(pod), about=[wanted]) as (fleet, history):
            try:
                run = find_run(fleet, wanted)
            except (UnreachableError, NotFoundError) as error:
                one, log, told = recalled_log(history, fleet, wanted, pod, error)
                if log is not None:
                    _search_remembered(one, log, query, printer)
                return told.exit_code
            return await _search(fleet, run, query, attempt, printer)

    try:
        return run_async(work())
    finally:
        printer.end()


def _named(words: tuple[str, ...], run_id: str | None) -> tuple[str, str]:
    """The run and the pattern."""
    if len(words) != (2 if run_id is None else 1):
        raise UsageError("name one run and one pattern", "`ops run search RUN PATTERN`; quote a pattern with spaces")
    return one_run(words[0] if run_id is None else None, run_id), words[-1]


async def _search(fleet: Fleet, run: RunSnapshot, query: LogQuery, attempt: int | None, printer: MatchPrinter) -> int:
    from dataclasses import replace

    if attempt is not None:
        from podops.fleet.attempts import log_range, read_attempts

        start, end = log_range(run, await read_attempts(fleet, run), attempt)
        query = replace(query, start=start, end=end)
    try:
        async for step in fleet.search(run.pod, run.run_id, query, project=run.project):
            printer.step(step)
    except PodActionError as error:
        # Its own exit code says that nothing was found.
        raise UnreachableError(error.message, error.hint, code=error.error_code) from error
    printer.total(run.run_id, run.pod)
    return 0 if printer.found else 1


def _search_remembered(one: RememberedRun, log: RecalledLog, query: LogQuery, printer: MatchPrinter) -> None:
    from podops.fleet.log_search import SearchStep, found_in

    if log.start:
        say(f"only the last {size(len(log.data))} of its log are remembered, from byte {log.start} on")
    found = found_in(log.data, log.start, query)
    looked, whole = len(log.data), log.start + len(log.data)
    printer.as_of = iso(log.as_of)
    printer.step(SearchStep(tuple(found), len(found), looked, looked, whole, True))
    printer.total(one.run.run_id, one.run.pod)
