"""Which runs a few letters name, and what has become of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from podops.fleet.snapshot import PodSnapshot, RunSnapshot


def named(runs: Iterable[RunSnapshot], text: str) -> list[RunSnapshot]:
    """The run whose id is `text`, else those whose id begins with it; an empty text (a variable not set) names none."""
    found = [run for run in runs if text and run.run_id.startswith(text)]
    return [run for run in found if run.run_id == text] or found


def is_certain(run: RunSnapshot, text: str) -> bool:
    """Whether no other pod can tell the run named `text` better: its id is whole, and the pod that tells it owns it."""
    return run.run_id == text and run.owned


def is_another(now: RunSnapshot, before: RunSnapshot) -> bool:
    """Whether a run was submitted anew under its old id."""
    known = now.created_at is not None and before.created_at is not None
    return (known and now.created_at != before.created_at) or (before.ended and not now.ended and now.state != "lost")


def as_it_is(pod: PodSnapshot, run: RunSnapshot) -> RunSnapshot:
    """The run as its pod tells it. One it tells of no more has been removed: nobody will ever know how it ended."""
    if run.run_id in pod.runs or run.ended or pod.state != "live" or not pod.listed or pod.unlisted:
        return pod.runs.get(run.run_id, run)
    return replace(run, state="lost", reason="unknown", detail="its directory was removed")
