"""Asking one source which pods there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from podops.config.model import PodSource
from podops.errors import SourceError
from podops.sources.mapping import Mapped, detail_words, items_of, map_items, parse_answer
from podops.sources.program import run_program

#: So many `detail` commands of one source run at the same time.
_AT_ONCE = 8


async def ask(source: PodSource) -> Mapped:
    """What `source` tells now. Raises `SourceError`, and changes nothing then."""
    document = await _asked(source.command, source.timeout_s)
    items = items_of(source, document)
    problems: tuple[str, ...] = ()
    if source.detail:
        items, problems = await _with_details(source, items)
    mapped = map_items(source, items)
    return replace(mapped, problems=(*problems, *mapped.problems))


async def _asked(words: Sequence[str], timeout_s: float) -> Any:
    done = await run_program(words, timeout_s)
    if done.status != 0:
        said = f": {done.last_words}" if done.last_words else ""
        raise SourceError(f"{words[0]} ended with status {done.status}{said}", "try it by hand; are you logged in?")
    return parse_answer(done.stdout, words[0])


async def _with_details(source: PodSource, items: list[Any]) -> tuple[list[Any], tuple[str, ...]]:
    """Each item with what its `detail` command says laid over it, and the problems of those that failed."""
    gate = asyncio.Semaphore(_AT_ONCE)
    problems: list[str] = []

    async def detailed(item: Any) -> Any:
        try:
            words = detail_words(source, item)
            async with gate:
                told = await _asked(words, source.timeout_s)
        except SourceError as error:
            problems.append(error.message)
            return item
        return {**item, **told} if isinstance(told, dict) else item

    return list(await asyncio.gather(*(detailed(item) for item in items))), tuple(problems[:5])
