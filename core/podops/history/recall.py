"""Reading: what was last known, read back with the same distrust as if a pod had sent it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from podops.fleet import wire
from podops.fleet.attempts import AttemptRecord, parse_attempts
from podops.fleet.memory import Recalled, RecalledLog
from podops.fleet.snapshot import RunSnapshot
from podops.history.samples import Sample, read_samples

if TYPE_CHECKING:
    import sqlite3

#: Most runs shown of one pod before it answers, beside those that had not ended.
RECALLED_RUNS = 200


@dataclass(frozen=True, slots=True)
class RememberedRun:
    """A run as it was at `as_of`; `seen_at` is when its pod told something new of it last.

    `pod_id` is its pod's row, `run.pod` the name that pod had last, `machine` what the name led to.
    """

    run: RunSnapshot
    pod_id: int
    identity: str
    machine: str
    seen_at: float
    as_of: float
    #: When its directory was found to be gone from the pod; `None` while it is there.
    gone_at: float | None

    def found_gone(self) -> RememberedRun:
        """The same when its pod tells just now that it has no such directory."""
        return self if self.gone_at is not None else replace(self, as_of=self.seen_at, gone_at=time.time())


_RUNS = (
    "SELECT r.facts, p.name, p.id, p.identity, p.machine, r.seen_at, r.gone_at, p.last_seen"
    " FROM runs r JOIN pods p ON p.id = r.pod "
)


def recall_pod(connection: sqlite3.Connection, project: str, identity: str, name: str) -> Recalled | None:
    """The machine that was last seen under this identity."""
    row = connection.execute(
        "SELECT id, facts, last_seen FROM pods WHERE project = ? AND identity = ? ORDER BY last_seen DESC LIMIT 1",
        (project, identity),
    ).fetchone()
    if row is None:
        return None
    pod, facts, last_seen = int(row[0]), _mapping(row[1]), float(row[2])
    rows = connection.execute(
        _RUNS + "WHERE r.pod = ? AND r.gone_at IS NULL ORDER BY r.ended, r.created_at DESC LIMIT ?",
        (pod, RECALLED_RUNS),
    ).fetchall()
    runs = {found.run.run_id: found.run for found in _remembered(rows, name)}
    sample = facts.get("sample")
    return Recalled(
        as_of=last_seen,
        host=wire.host_info(facts.get("host")),
        sample=None if sample is None else wire.host_sample(sample),
        gpus=wire.gpu_report(facts.get("gpus")),
        runs=runs,
    )


def pod_samples(connection: sqlite3.Connection, project: str, identity: str, since: float) -> list[Sample]:
    """Of the machine that was last seen under this identity, from `since` on, oldest first."""
    row = connection.execute(
        "SELECT id FROM pods WHERE project = ? AND identity = ? ORDER BY last_seen DESC LIMIT 1", (project, identity)
    ).fetchone()
    return [] if row is None else read_samples(connection, int(row[0]), since)


def find_runs(connection: sqlite3.Connection, project: str, prefix: str) -> list[RememberedRun]:
    """Runs whose id is `prefix`, else those whose id begins with it; each once, as it was seen last."""
    exact = connection.execute(_RUNS + "WHERE p.project = ? AND r.run_id = ?", (project, prefix)).fetchall()
    if not exact:
        pattern = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = _RUNS + "WHERE p.project = ? AND r.run_id LIKE ? ESCAPE '\\'"
        exact = connection.execute(query, (project, pattern)).fetchall()
    return _newest(_remembered(exact))


def all_runs(connection: sqlite3.Connection, project: str) -> list[RememberedRun]:
    """Every run of the project's pods that is remembered, also of pods that are gone; each once."""
    return _newest(_remembered(connection.execute(_RUNS + "WHERE p.project = ?", (project,)).fetchall()))


def read_log(connection: sqlite3.Connection, pod: int, project: str, run_id: str) -> RecalledLog | None:
    query = "SELECT start, data, complete, seen_at FROM logs WHERE pod = ? AND project = ? AND run_id = ?"
    return _log(connection.execute(query, (pod, project, run_id)).fetchone())


def recall_log(
    connection: sqlite3.Connection, own_project: str, identity: str, project: str, run_id: str
) -> RecalledLog | None:
    """What was seen last of a run's log on any machine under this identity."""
    query = (
        "SELECT l.start, l.data, l.complete, l.seen_at FROM logs l JOIN pods p ON p.id = l.pod"
        " WHERE p.project = ? AND p.identity = ? AND l.project = ? AND l.run_id = ? ORDER BY l.seen_at DESC LIMIT 1"
    )
    return _log(connection.execute(query, (own_project, identity, project, run_id)).fetchone())


def _log(row: tuple[Any, ...] | None) -> RecalledLog | None:
    return None if row is None else RecalledLog(int(row[0]), bytes(row[1]), bool(row[2]), float(row[3]))


def read_summary(connection: sqlite3.Connection, pod: int, project: str, run_id: str) -> dict[str, Any] | None:
    row = connection.execute(
        "SELECT summary FROM runs WHERE pod = ? AND project = ? AND run_id = ?", (pod, project, run_id)
    ).fetchone()
    return None if row is None or row[0] is None else _mapping(row[0])


def read_attempts(connection: sqlite3.Connection, pod: int, project: str, run_id: str) -> tuple[AttemptRecord, ...]:
    row = connection.execute(
        "SELECT attempts FROM runs WHERE pod = ? AND project = ? AND run_id = ?", (pod, project, run_id)
    ).fetchone()
    return () if row is None or row[0] is None else parse_attempts(bytes(row[0]))


def _remembered(rows: list[tuple[Any, ...]], name: str | None = None) -> Iterator[RememberedRun]:
    now, clock = time.time(), time.monotonic()
    for facts, pod_name, pod, identity, machine, seen_at, gone_at, last_seen in rows:
        run = wire.run(_mapping(facts), name or pod_name, clock - (now - seen_at))
        if run is not None:
            # A pod tells what changes: what it has not taken back was still so when it spoke last.
            as_of = seen_at if gone_at is not None else max(seen_at, last_seen)
            yield RememberedRun(run, pod, identity, machine, seen_at, as_of, gone_at)


def _newest(found: Iterator[RememberedRun]) -> list[RememberedRun]:
    """Each run once, newest run first: of a run that several pods had, what was seen last."""
    chosen: dict[tuple[str, str], RememberedRun] = {}
    for one in found:
        key = (one.run.project, one.run.run_id)
        if key not in chosen or (one.run.owned, one.as_of) > (chosen[key].run.owned, chosen[key].as_of):
            chosen[key] = one
    return sorted(chosen.values(), key=lambda one: (one.run.created_at or 0.0, one.run.run_id), reverse=True)


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
