"""The pod sources: what each said last, or why it could not be asked."""

from __future__ import annotations

from collections.abc import Iterator

from podops.doctor.check import Check
from podops.fleet.snapshot import FleetSnapshot, SourceSnapshot


def source_checks(fleet: FleetSnapshot) -> Iterator[Check]:
    """One check for each source, and a warning for each thing of its answer that was left out."""
    for source in fleet.sources:
        yield _source(source)
        for note in source.notes:
            yield Check("warn", "this machine", f"source {source.name}", note, "correct the mapping, or the name there")


def _source(source: SourceSnapshot) -> Check:
    what = f"source {source.name}"
    if source.problem:
        return Check("fail", "this machine", what, source.problem, source.hint)
    if source.answered_at is None:
        return Check("warn", "this machine", what, "has not answered in time", "raise --timeout, or try it by hand")
    pods = f"{source.pods} pod" + ("" if source.pods == 1 else "s")
    return Check("ok", "this machine", what, pods + (f", {len(source.coming)} not ready yet" if source.coming else ""))
