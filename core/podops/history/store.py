"""The history's file in use: opened when first needed, set aside when damaged, left alone when it cannot be written."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from podops.history.database import (
    Database,
    HistoryUnavailable,
    is_damage,
    lacks_a_part,
    open_database,
    set_aside,
)

#: How long after a failure (a full disk) the file is tried again, seconds.
_AGAIN_S = 60.0

T = TypeVar("T")


class Store:
    """For the threads of one process, one at a time. Nothing here raises: what a person should know is told once."""

    def __init__(self, directory: Path, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._failed_at = -math.inf
        self._not_before = 0.0

    def use(self, work: Callable[[Database], T]) -> T | None:
        """Do `work` with the open file, anew after a damaged one was set aside; `None` where that cannot be."""
        with self._lock:
            if time.monotonic() < self._not_before:
                return None
            for _ in range(2):
                try:
                    return work(self._opened())
                except HistoryUnavailable as error:
                    self._fail(f"no history is kept: {error}")
                except sqlite3.Error as error:
                    if self._database is not None and (is_damage(error) or lacks_a_part(error)):
                        self._set_aside(self._database)
                        continue
                    if not _is_busy(error):
                        place = self._directory if self._database is None else self._database.path
                        self._fail(f"no history is kept: {place}: {error}")
                return None
        return None

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _opened(self) -> Database:
        if self._database is not None and not self._database.is_there():
            self._say(f"the history {self._database.path} was removed; a new one is begun")
            self._let_go()
        if self._database is None:
            self._database = open_database(self._directory)
            for note in self._database.notes:
                self._say(note)
        return self._database

    def _set_aside(self, database: Database) -> None:
        database.connection.close()
        try:
            self._say(set_aside(database.path, database.lock, "damaged"))
        except HistoryUnavailable as error:
            self._fail(f"no history is kept: {error}")
        self._let_go()

    def _fail(self, text: str) -> None:
        now = time.monotonic()
        # One trouble may show first in writing to the file, and then in opening it.
        lasts = now - self._failed_at < 2 * _AGAIN_S
        self._failed_at, self._not_before = now, now + _AGAIN_S
        self._let_go()
        if not lasts:
            self._say(text)

    def _let_go(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
