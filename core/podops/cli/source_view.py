"""A pod source as commands tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from podops.cli.output import ago, iso, say

if TYPE_CHECKING:
    from podops.fleet.snapshot import FleetSnapshot, SourceSnapshot


def source_view(source: SourceSnapshot) -> dict[str, Any]:
    """A pod source as `--json` shows it."""
    times = {name: iso(getattr(source, name)) for name in ("asked_at", "answered_at", "failing_since")}
    return asdict(source) | times | {"notes": list(source.notes), "coming": list(source.coming)}


def tell_sources(fleet: FleetSnapshot, *, only_problems: bool) -> None:
    """The sources on standard error: the table is of pods."""
    for source in fleet.sources:
        if source.problem or source.notes or not only_problems:
            for line in source_lines(source):
                say(line)


def source_lines(source: SourceSnapshot) -> Iterator[str]:
    """A source in a line, and one more for each thing to be done about it."""
    pods = f"{source.pods} pod{'' if source.pods == 1 else 's'}"
    if source.problem:
        since = f"; its {pods} as of {ago(source.answered_at)}" if source.answered_at else ""
        yield f"source {source.name}: {source.problem}{since}"
        if source.hint:
            yield f"  hint: {source.hint}"
    elif source.answered_at is None:
        yield f"source {source.name}: has not answered yet"
    else:
        coming = f", not ready yet: {', '.join(source.coming)}" if source.coming else ""
        yield f"source {source.name}: {pods}, as of {ago(source.answered_at)}{coming}"
    yield from (f"  {note}" for note in source.notes)
