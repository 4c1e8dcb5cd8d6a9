"""Finding a text in a log, in the lines that are loaded and beyond them, and showing where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from podops.fleet.log_search import LogQuery
from podops_tui.ansi import clean
from podops_tui.log_reader import LogReader

_FOUND, _CURRENT = "black on yellow", "bold black on bright_green"

#: Of a longer log it is not counted how many lines hold the text, bytes: its pod has other things to do.
_MOST_COUNTED = 4 * 2**30


def find(lines: Sequence[str], wanted: str, start: int, step: int) -> int | None:
    """The index of the nearest line that holds `wanted`, from `start` on in steps of 1 or -1.

    Upper and lower case are the same.
    """
    wanted = wanted.lower()
    for index in range(start, len(lines) if step > 0 else -1, step):
        if 0 <= index < len(lines) and wanted in clean(lines[index]).lower():
            return index
    return None


async def find_beyond(reader: LogReader, wanted: str, step: int, tell: Callable[[str], None]) -> int | None:
    """Where in the log the nearest line before (-1) or behind (1) the loaded ones begins that holds `wanted`.

    `tell` hears how far the search has come. Raises `PodopsError`.
    """
    start, end = reader.unread[0 if step < 0 else 1]
    if start >= end:
        return None
    tell("searching")
    query = _query(wanted, start=start, end=end, backward=step < 0, most=1)
    async for found in reader.search(query):
        if found.matches:
            return found.matches[0].offset
        tell(f"searching {found.percent} %")
    return None


async def count(reader: LogReader, lines: Sequence[str], wanted: str, tell: Callable[[str], None]) -> None:
    """Tell how many lines hold `wanted`, and before that how far counting them has come. Raises `PodopsError`."""
    total = 0
    if reader.buffer.begin == 0 and not reader.is_far:
        total = sum(wanted.lower() in clean(line).lower() for line in lines)
    else:
        async for found in reader.search(_query(wanted, only_count=True)):
            if found.total > _MOST_COUNTED:
                tell("")
                return
            total += found.count
            tell(f"counting {found.percent} %")
    tell(f"{total:,} line{'' if total == 1 else 's'}" if total else "no match")


def _query(wanted: str, **where: Any) -> LogQuery:
    """What a person sees is searched: without escape sequences, and of a bar its last state."""
    return LogQuery(wanted, literal=True, ignore_case=True, folded=True, **where)


def marked(text: Text, wanted: str, current: bool) -> Text:
    """A copy of `text` with every `wanted` marked."""
    shown = text.copy()
    plain, wanted = text.plain.lower(), wanted.lower()
    at = plain.find(wanted)
    while wanted and at >= 0:
        shown.stylize(_CURRENT if current else _FOUND, at, at + len(wanted))
        at = plain.find(wanted, at + len(wanted))
    return shown
