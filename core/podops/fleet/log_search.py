"""Searching a log where it is, one request for a moment's work after the other (docs/protocol.md, "Searching")."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from podops.errors import ProtocolError, UsageError
from podops.fleet import wire
from podops_runners.frames import Frame
from podops_runners.line_pattern import LinePattern, PatternError

#: So many matches are asked for at once at most.
_AT_ONCE = 2000

Ask = Callable[..., Coroutine[Any, Any, Frame]]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What to search for, and where: in the bytes `[start, end)` of a log, to its end as it is now when `None`."""

    pattern: str
    #: The pattern is plain text, else a regular expression.
    literal: bool = False
    ignore_case: bool = False
    #: Of a line that was drawn over with carriage returns, only what it was last counts.
    folded: bool = False
    start: int = 0
    end: int | None = None
    #: From the end on: the last match comes first.
    backward: bool = False
    #: So many matches are enough.
    most: int | None = None
    #: How much of a line is wanted, bytes.
    text_bytes: int = 4096
    #: Number the lines, forwards only.
    numbered: bool = False
    #: Only the number of matches is wanted.
    only_count: bool = False


@dataclass(frozen=True, slots=True)
class LogMatch:
    """A line `length` bytes long that begins at the byte `offset` of the log.

    Its bytes `[start, end)` are the first match; `text` is what was wanted of it, from its byte `text_start` on.
    """

    offset: int
    length: int
    start: int
    end: int
    text_start: int
    text: bytes
    #: Which line of the log it is, from 1; `None` when not asked for, or not known behind what was freed.
    number: int | None = None


@dataclass(frozen=True, slots=True)
class SearchStep:
    """What was found since the last step. `looked` of `total` bytes are done; `size` is the log's."""

    matches: tuple[LogMatch, ...]
    count: int
    looked: int
    total: int
    size: int
    done: bool

    @property
    def percent(self) -> int:
        return 100 if self.done else min(99, 100 * self.looked // max(1, self.total))


async def search_steps(ask: Ask, query: LogQuery) -> AsyncGenerator[SearchStep]:
    """Ask step by step until all is searched or enough is found. Raises `PodopsError`."""
    place: dict[str, Any] = {"start": query.start, "end": query.end, "line": 1 if query.numbered else None}
    total, left = None, query.most
    while True:
        wanted = _AT_ONCE if left is None else min(left, _AT_ONCE)
        try:
            answer = await ask(**_words(query), most=wanted, **place)
        except UsageError as error:
            raise _too_old(error) from None
        size, rest = wire.count(answer.header.get("size")), _rest(answer, place, query.backward)
        if total is None:
            end = size if query.end is None else min(size, query.end)
            total = max(0, end - query.start)
        matches = tuple(_matches(answer))[:wanted]
        left = None if left is None else left - len(matches)
        done = rest is None or left == 0
        looked = total if rest is None else max(0, total - (rest["end"] - rest["start"]))
        yield SearchStep(matches, wire.count(answer.header.get("count")), looked, total, size, done)
        if done or rest is None:
            return
        place = rest


def found_in(data: bytes, offset: int, query: LogQuery) -> list[LogMatch]:
    """The same search in a part of a log that is here. Raises `UsageError`."""
    try:
        pattern = LinePattern(query.pattern, query.literal, query.ignore_case, query.folded)
    except PatternError as error:
        raise UsageError(str(error)) from None
    hits = pattern.hits(data)
    chosen = hits[::-1] if query.backward else hits
    return [
        LogMatch(offset + hit.start, hit.end - hit.start, *hit.match, 0, data[hit.start : hit.end])
        for hit in chosen[: query.most]
    ]


def _words(query: LogQuery) -> dict[str, Any]:
    flags = {"literal": query.literal, "ignore_case": query.ignore_case, "folded": query.folded}
    return {
        "pattern": query.pattern,
        "backward": query.backward,
        "text_bytes": query.text_bytes,
        "count": query.only_count,
        **flags,
    }


def _rest(answer: Frame, place: dict[str, Any], backward: bool) -> dict[str, Any] | None:
    """What the pod says is left to do; it has to be less than before."""
    told = wire.mapping(answer.header.get("next"))
    if not told:
        return None
    start, end = wire.count(told.get("start")), wire.count(told.get("end"))
    before = place["start"], place["end"]
    moved = (start == before[0] and (before[1] is None or end < before[1])) if backward else start > before[0]
    if not moved or end < start:
        raise ProtocolError("the pod's search goes in circles")
    return {"start": start, "end": end, "line": wire.integer(told.get("line")), "part": told.get("part") is True}


def _matches(answer: Frame) -> list[LogMatch]:
    found, at = [], 0
    for row in wire.items(answer.header.get("matches"), _AT_ONCE):
        numbers = [wire.integer(value) for value in wire.items(row, 7)]
        if len(numbers) != 7 or any(number is None or number < 0 for number in numbers[:6]):
            continue
        offset, length, start, end, text_start, text_length = (number or 0 for number in numbers[:6])
        text = answer.payload[at : at + text_length]
        at += text_length
        found.append(LogMatch(offset, length, start, end, text_start, text, numbers[6]))
    return found


def _too_old(error: UsageError) -> Exception:
    """A pod side that does not know the request is older than this, which only a shared link can be."""
    if not error.message.startswith("unknown request"):
        return error
    return ProtocolError(
        "the pod side of this link is older than this command and cannot search",
        "start the app or `ops watch` that holds the link anew, or use `ops --no-share`",
    )
