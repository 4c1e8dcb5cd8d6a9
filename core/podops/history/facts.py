"""What can be said of the history's file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """`size` is that of the file and its log of changes, bytes; `rows` how much it holds of what."""

    path: Path
    size: int
    rows: Mapping[str, int]


def facts_of(path: Path, connection: sqlite3.Connection) -> HistoryFacts:
    tables = ("pods", "runs", "samples", "logs")
    rows = {table: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables}
    files = (path, path.with_name(path.name + "-wal"))
    return HistoryFacts(path, sum(file.stat().st_size for file in files if file.exists()), rows)
