"""Keeping the file within its size: what is oldest and least asked for goes first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from podops.history.samples import STEPS, thin_out

if TYPE_CHECKING:
    import sqlite3

    from podops.history.database import Database

#: Runs whose directory has been gone from their pod for so long are dropped, seconds.
_GONE_S = 90 * 86400.0

#: When the file is too large it shrinks to this part of its limit, so that it need not at each look.
_TARGET = 0.9

#: So many free pages are given back at a time.
_PAGES = 1000

#: What is taken away in one step, until the file is small enough: in this order, so many rows at a time.
_STEPS = (
    "DELETE FROM samples WHERE (pod, step, time) IN"
    " (SELECT pod, step, time FROM samples ORDER BY step, time LIMIT 20000)",
    "DELETE FROM logs WHERE rowid IN (SELECT rowid FROM logs ORDER BY seen_at LIMIT 50)",
    "DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs WHERE ended ORDER BY seen_at LIMIT 50)",
)


#: Where only short commands write, samples are thinned out once they are so much too fine for their age, seconds.
_LATE_S = 3600.0


def is_overdue(database: Database, limit: int) -> bool:
    """Whether nobody has pruned for long: the data takes more than `limit` bytes, or has samples that are too fine.

    Costs little. Raises `sqlite3.Error`.
    """
    if used_bytes(database.connection) > limit:
        return True
    fine, kept = STEPS[0]
    query = "SELECT EXISTS (SELECT 1 FROM pods p JOIN samples s ON s.pod = p.id AND s.step = ? AND s.time < ?)"
    (found,) = database.connection.execute(query, (fine, int(time.time() - kept - _LATE_S))).fetchone()
    return bool(found)


def prune(database: Database, limit: int, now: float | None = None) -> None:
    """Thin out old samples and bring the data under `limit` bytes, in many short transactions.

    Other processes want to write meanwhile. Raises `sqlite3.Error`.
    """
    now = time.time() if now is None else now
    for (pod,) in database.connection.execute("SELECT id FROM pods").fetchall():
        with database.transaction() as connection:
            thin_out(connection, pod, now)
    gone = "SELECT pod, project, run_id FROM runs WHERE gone_at < ?"
    with database.transaction() as connection:
        for table in ("logs", "runs"):
            connection.execute(f"DELETE FROM {table} WHERE (pod, project, run_id) IN ({gone})", (now - _GONE_S,))
    if used_bytes(database.connection) > limit:
        _shrink(database, limit * _TARGET)
    _give_back(database.connection)


def _shrink(database: Database, target: float) -> None:
    for step in _STEPS:
        while used_bytes(database.connection) > target:
            with database.transaction() as connection:
                done = connection.execute(step).rowcount == 0
            if done:
                break


def _give_back(connection: sqlite3.Connection) -> None:
    """Return what is free to the file system."""
    free, before = _free_pages(connection), 0
    while free and free != before:
        # Each step of the statement frees one page, and only `executescript` steps to its end.
        connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
        free, before = _free_pages(connection), free


def _free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def used_bytes(connection: sqlite3.Connection) -> int:
    """What the data takes, without pages that are free."""
    (pages,), (free,), (size,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
