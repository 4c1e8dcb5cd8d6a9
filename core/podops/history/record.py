"""Writing: each function is one part of a transaction that is open already."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops_runners.metric_value import json_safe

if TYPE_CHECKING:
    import sqlite3

#: How much of a log's end is kept, bytes.
LOG_TAIL_BYTES = 64 * 1024

#: How much of the end of a record of attempts is kept, bytes.
ATTEMPTS_BYTES = 64 * 1024

#: `(project, run_id)`.
RunKey = tuple[str, str]


def put_pod(connection: sqlite3.Connection, project: str, identity: str, seen: PodSnapshot, now: float) -> int:
    """Store what a live pod says of itself; its row's id. What it has not said yet stays as it is known."""
    facts: dict[str, Any] = {"host": asdict(seen.host)}
    facts |= {"sample": asdict(seen.sample)} if seen.sample else {}
    facts |= {"gpus": asdict(seen.gpus)} if seen.gpus.told else {}
    if len(facts) < 3:
        # A link that lives for a moment only may hear of nothing but the runs.
        facts = _pod_facts(connection, project, identity, seen.host.machine_id) | facts
    rows = connection.execute(
        """INSERT INTO pods (project, identity, machine, name, transport, address, facts, first_seen, last_seen)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (project, identity, machine) DO UPDATE SET name = excluded.name,
             transport = excluded.transport, address = excluded.address, facts = excluded.facts,
             last_seen = max(last_seen, excluded.last_seen)
           RETURNING id""",
        (
            project,
            identity,
            seen.host.machine_id,
            seen.name,
            seen.transport,
            seen.address,
            _json(facts),
            now,
            seen.last_seen or now,
        ),
    ).fetchall()
    return int(rows[0][0])


def _pod_facts(connection: sqlite3.Connection, project: str, identity: str, machine: str) -> dict[str, Any]:
    """What is stored of a pod; empty where there is nothing, or nothing that can be read."""
    query = "SELECT facts FROM pods WHERE project = ? AND identity = ? AND machine = ?"
    row = connection.execute(query, (project, identity, machine)).fetchone()
    try:
        facts = json.loads(row[0]) if row else {}
    except (ValueError, TypeError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def put_run(connection: sqlite3.Connection, pod: int, run: RunSnapshot, seen_at: float) -> None:
    facts = {name: value for name, value in asdict(run).items() if name not in ("pod", "received_at")}
    facts["metrics"] = json_safe(facts["metrics"])
    if run.created_at:
        # Submitted anew, it has another log.
        connection.execute(
            """DELETE FROM logs WHERE (pod, project, run_id) IN
               (SELECT pod, project, run_id FROM runs WHERE pod = ? AND project = ? AND run_id = ?
                AND created_at NOT IN (0, ?))""",
            (pod, run.project, run.run_id, run.created_at),
        )
    connection.execute(
        """INSERT INTO runs (pod, project, run_id, facts, created_at, ended, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (pod, project, run_id) DO UPDATE SET facts = excluded.facts, created_at = excluded.created_at,
             summary = CASE WHEN runs.created_at = excluded.created_at THEN summary END,
             attempts = CASE WHEN runs.created_at = excluded.created_at THEN attempts END,
             ended = excluded.ended, seen_at = excluded.seen_at, gone_at = NULL""",
        (pod, run.project, run.run_id, _json(facts), run.created_at or 0.0, run.ended, seen_at),
    )


def ended_runs(connection: sqlite3.Connection, pod: int) -> set[tuple[str, str, float]]:
    """`(project, run_id, created_at)` of runs that are stored as ended and still there: nothing changes in them."""
    query = "SELECT project, run_id, created_at FROM runs WHERE pod = ? AND ended AND gone_at IS NULL"
    return set(connection.execute(query, (pod,)).fetchall())


def put_gone(connection: sqlite3.Connection, pod: int, runs: Iterable[RunKey], now: float) -> None:
    """Runs whose directory is no longer on the pod."""
    connection.executemany(
        "UPDATE runs SET gone_at = ? WHERE pod = ? AND project = ? AND run_id = ? AND gone_at IS NULL",
        [(now, pod, project, run_id) for project, run_id in runs],
    )


def put_absent(connection: sqlite3.Connection, pod: int, project: str, present: Collection[str], now: float) -> None:
    """What the pod's full list of `project` does not have is gone."""
    known = connection.execute(
        "SELECT run_id FROM runs WHERE pod = ? AND project = ? AND gone_at IS NULL", (pod, project)
    ).fetchall()
    put_gone(connection, pod, [(project, run_id) for (run_id,) in known if run_id not in present], now)


def put_summary(connection: sqlite3.Connection, pod: int, run: RunKey, summary: Mapping[str, Any]) -> None:
    connection.execute(
        "UPDATE runs SET summary = ? WHERE pod = ? AND project = ? AND run_id = ?", (_json(summary), pod, *run)
    )


def put_attempts(connection: sqlite3.Connection, pod: int, run: RunKey, data: bytes) -> None:
    """`data`: the end of the run's record of attempts, as its pod has it."""
    connection.execute(
        "UPDATE runs SET attempts = ? WHERE pod = ? AND project = ? AND run_id = ?", (data[-ATTEMPTS_BYTES:], pod, *run)
    )


def put_log(
    connection: sqlite3.Connection, pod: int, run: RunKey, start: int, data: bytes, complete: bool, now: float
) -> None:
    """Store a log's end, joined to what was stored of it before where the two meet."""
    row = connection.execute(
        "SELECT start, data FROM logs WHERE pod = ? AND project = ? AND run_id = ?", (pod, *run)
    ).fetchone()
    if row is not None:
        start, data = _joined(row[0], row[1], start, data)
    cut = max(0, len(data) - LOG_TAIL_BYTES)
    connection.execute(
        """INSERT OR REPLACE INTO logs (pod, project, run_id, start, data, complete, seen_at)
           VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (pod, *run, start + cut, data[cut:], complete, now),
    )


def _joined(old_start: int, old: bytes, start: int, data: bytes) -> tuple[int, bytes]:
    """The old bytes in front of the new; the new alone when there is a gap, or the file is another one."""
    overlap = old_start + len(old) - start
    if old_start >= start or overlap < 0 or old[len(old) - overlap :] != data[:overlap]:
        return start, data
    return old_start, old[: len(old) - overlap] + data


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
