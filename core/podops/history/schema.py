"""The tables of the history, as the steps that lead to them; a step once released is never changed."""

from __future__ import annotations

import sqlite3

#: Marks the file as ours ("pods").
APPLICATION_ID = 0x706F6473

#: Step n brings a database of version n - 1 to version n; the version is SQLite's own `user_version`.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE pods (
            id INTEGER PRIMARY KEY,
            project TEXT NOT NULL,
            identity TEXT NOT NULL,
            machine TEXT NOT NULL,
            name TEXT NOT NULL,
            transport TEXT NOT NULL,
            address TEXT NOT NULL,
            facts TEXT NOT NULL,
            first_seen REAL NOT NULL,
            last_seen REAL NOT NULL,
            UNIQUE (project, identity, machine))""",
        """CREATE TABLE runs (
            pod INTEGER NOT NULL REFERENCES pods (id) ON DELETE CASCADE,
            project TEXT NOT NULL,
            run_id TEXT NOT NULL,
            facts TEXT NOT NULL,
            summary TEXT,
            created_at REAL NOT NULL,
            ended INTEGER NOT NULL,
            seen_at REAL NOT NULL,
            gone_at REAL,
            PRIMARY KEY (pod, project, run_id))""",
        "CREATE INDEX runs_by_id ON runs (run_id)",
    ),
    (
        """CREATE TABLE samples (
            pod INTEGER NOT NULL REFERENCES pods (id) ON DELETE CASCADE,
            step INTEGER NOT NULL,
            time INTEGER NOT NULL,
            weight INTEGER NOT NULL,
            data TEXT NOT NULL,
            PRIMARY KEY (pod, step, time)) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE logs (
            pod INTEGER NOT NULL REFERENCES pods (id) ON DELETE CASCADE,
            project TEXT NOT NULL,
            run_id TEXT NOT NULL,
            start INTEGER NOT NULL,
            data BLOB NOT NULL,
            complete INTEGER NOT NULL,
            seen_at REAL NOT NULL,
            PRIMARY KEY (pod, project, run_id))""",
    ),
    ("ALTER TABLE runs ADD COLUMN attempts BLOB",),
)

VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether it is a history, or empty."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark == APPLICATION_ID:
        return True
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(mark == 0 and tables == 0)


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Bring an older or empty database to version `to`, all of it or nothing. Raises `sqlite3.Error`."""
    if version_of(connection) >= to:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again: another process may have done it while we waited for our turn.
        for number in range(version_of(connection), to):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
