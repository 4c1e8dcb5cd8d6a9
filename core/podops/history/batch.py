"""What is written in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops.history import record
from podops.history.record import RunKey
from podops.history.samples import figures_of, put_samples

if TYPE_CHECKING:
    import sqlite3

#: A pod's identity, and a run on it.
LogKey = tuple[str, RunKey]

#: A pod's identity, the second, and the snapshot that holds the sample.
SampleNote = tuple[str, int, PodSnapshot]


class LogNote(NamedTuple):
    start: int
    data: bytes
    complete: bool
    #: When the last of it was heard, Unix time.
    heard_at: float


class RunNote(NamedTuple):
    """A run as its pod told it at `heard_at`, Unix time."""

    run: RunSnapshot
    heard_at: float


@dataclass(frozen=True, slots=True)
class PodNote:
    """`facts`: whether those of the pod itself are due. `full`: every run it has, when that is known to be all.

    `listed_at` is the Unix time at which it told the list that lacks what is `gone`.
    """

    identity: str
    seen: PodSnapshot
    facts: bool
    changed: list[RunNote]
    gone: list[RunKey]
    full: frozenset[str] | None
    listed_at: float


@dataclass
class KnownRows:
    """What this process knows of the file: each pod's machine and row, and the rows it has looked at."""

    pods: dict[str, tuple[str, int]] = field(default_factory=dict)
    looked: set[int] = field(default_factory=set)
    #: Which open file this is about.
    file: object = None

    def copy(self) -> KnownRows:
        return KnownRows(dict(self.pods), set(self.looked), self.file)


@dataclass
class Batch:
    pods: list[PodNote] = field(default_factory=list)
    samples: list[SampleNote] = field(default_factory=list)
    logs: dict[LogKey, LogNote] = field(default_factory=dict)
    summaries: dict[LogKey, Mapping[str, Any]] = field(default_factory=dict)
    attempts: dict[LogKey, bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.pods or self.samples or self.logs or self.summaries or self.attempts)

    def write(self, connection: sqlite3.Connection, project: str, known: KnownRows) -> None:
        """Raises `sqlite3.Error`."""
        for note in self.pods:
            _put_pod(connection, project, note, known)
        rows = {identity: row for identity, (_, row) in known.pods.items()}
        figures = (
            (rows[identity], second, figures_of(seen.sample, seen.gpus))
            for identity, second, seen in self.samples
            if identity in rows and seen.sample is not None
        )
        put_samples(connection, figures)
        for (identity, run), log in self.logs.items():
            if identity in rows:
                record.put_log(connection, rows[identity], run, log.start, log.data, log.complete, log.heard_at)
        for (identity, run), summary in self.summaries.items():
            if identity in rows:
                record.put_summary(connection, rows[identity], run, summary)
        for (identity, run), attempts in self.attempts.items():
            if identity in rows:
                record.put_attempts(connection, rows[identity], run, attempts)


def _put_pod(connection: sqlite3.Connection, project: str, note: PodNote, known: KnownRows) -> None:
    machine, row = known.pods.get(note.identity, ("", None))
    if note.facts or row is None or machine != note.seen.host.machine_id:
        row = record.put_pod(connection, project, note.identity, note.seen, note.listed_at)
        known.pods[note.identity] = (note.seen.host.machine_id, row)
    if note.changed:
        # Only a process's first look at a pod brings many that are stored already.
        ended = record.ended_runs(connection, row) if row not in known.looked else set()
        known.looked.add(row)
        for run, heard_at in note.changed:
            if not run.ended or (run.project, run.run_id, run.created_at or 0.0) not in ended:
                record.put_run(connection, row, run, heard_at)
    record.put_gone(connection, row, note.gone, note.listed_at)
    if note.full is not None:
        record.put_absent(connection, row, project, note.full, note.listed_at)
