"""The memory of one project's fleet: notes are taken at once and written by a thread about once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from podops.config.identity import pod_identity
from podops.config.model import PodConfig
from podops.fleet.attempts import AttemptRecord
from podops.fleet.memory import Recalled, RecalledLog
from podops.fleet.snapshot import LogChunk, PodSnapshot
from podops.history import recall
from podops.history.batch import Batch, KnownRows
from podops.history.facts import HistoryFacts, facts_of
from podops.history.limit import is_overdue, prune
from podops.history.notes import Notes
from podops.history.recall import RememberedRun
from podops.history.samples import Sample

if TYPE_CHECKING:
    import sqlite3

    from podops.history.database import Database
    from podops.history.store import Store

#: How long notes wait to be written together, and how often the file is pruned, seconds.
WRITE_S, PRUNE_S = 1.0, 60.0

#: How long closing waits for the last notes to be written, seconds.
_CLOSE_S = 5.0

T = TypeVar("T")


class History:
    """A `Memory` of one project. Nothing here raises: trouble is told once, and there is nothing to recall then."""

    def __init__(self, project: str, directory: Path, limit: int, tell: Callable[[str], None]) -> None:
        """`limit` is the most bytes the file may hold. Nothing is opened before it is needed."""
        self._project = project
        self._directory = directory
        self._limit = limit
        self._tell = tell
        self._notes = Notes()
        self._known = KnownRows()
        self._opening = threading.Lock()
        self._opened: Store | None = None
        self._pruned_at: float | None = None
        self._woken = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def recall(self, pod: PodConfig) -> Recalled | None:
        name, identity = pod.name, pod_identity(pod)
        return self._read(lambda db: recall.recall_pod(db, self._project, identity, name))

    def recall_log(self, pod: PodConfig, project: str, run_id: str) -> RecalledLog | None:
        identity = pod_identity(pod)
        return self._read(lambda db: recall.recall_log(db, self._project, identity, project, run_id))

    def samples(self, pod: PodConfig, since: float) -> list[Sample]:
        """A pod's figures from `since` (Unix time) on, oldest first."""
        identity = pod_identity(pod)
        return self._read(lambda db: recall.pod_samples(db, self._project, identity, since)) or []

    def facts(self) -> HistoryFacts | None:
        """Where the file is and what is in it, of all projects."""
        return self._use(lambda database: facts_of(database.path, database.connection))

    def find(self, text: str) -> list[RememberedRun]:
        """Runs named `text`, in full or by a prefix."""
        return self._read(lambda db: recall.find_runs(db, self._project, text)) or []

    def runs(self) -> list[RememberedRun]:
        """Every run of this project that is remembered, newest first."""
        return self._read(lambda db: recall.all_runs(db, self._project)) or []

    def log(self, found: RememberedRun) -> RecalledLog | None:
        run = found.run
        return self._read(lambda db: recall.read_log(db, found.pod_id, run.project, run.run_id))

    def summary(self, found: RememberedRun) -> dict[str, Any] | None:
        run = found.run
        return self._read(lambda db: recall.read_summary(db, found.pod_id, run.project, run.run_id))

    def attempts(self, found: RememberedRun) -> tuple[AttemptRecord, ...]:
        """Its attempts that had ended when its pod was asked for them last."""
        run = found.run
        return self._read(lambda db: recall.read_attempts(db, found.pod_id, run.project, run.run_id)) or ()

    def note_pod(self, pod: PodConfig, seen: PodSnapshot) -> None:
        self._notes.pod(pod_identity(pod), seen)
        self._start()

    def note_log(self, pod: PodConfig, project: str, run_id: str, chunk: LogChunk) -> None:
        self._notes.log(pod_identity(pod), (project, run_id), chunk)
        self._start()

    def note_summary(self, pod: PodConfig, project: str, run_id: str, summary: Mapping[str, Any]) -> None:
        self._notes.summary(pod_identity(pod), (project, run_id), summary)
        self._start()

    def note_attempts(self, pod: PodConfig, project: str, run_id: str, data: bytes) -> None:
        self._notes.attempts(pod_identity(pod), (project, run_id), data)
        self._start()

    def close(self) -> None:
        """Write what is noted and let go of the file; waits a bounded time."""
        self._closing = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
        elif self._opened is not None:
            self._opened.close()

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._write_on, name="podops-history", daemon=True)
            self._thread.start()

    def _write_on(self) -> None:
        # Opened while the first pods are still being asked, so that a short command need not wait for it at its end.
        self._use(lambda _: None)
        while not self._woken.wait(WRITE_S):
            self._write(last=False)
        self._write(last=True)
        self._store().close()

    def _write(self, *, last: bool) -> None:
        batch = self._notes.take(last=last)
        if batch and not self._use(lambda database: self._put(database, batch)):
            self._notes.put_back(batch)
        if last:
            # Most commands are over before it is time to prune.
            due = self._use(lambda database: is_overdue(database, self._limit))
        else:
            due = self._pruned_at is None or time.monotonic() - self._pruned_at > PRUNE_S
        if due:
            self._pruned_at = time.monotonic()
            self._use(lambda database: prune(database, self._limit))

    def _put(self, database: Database, batch: Batch) -> bool:
        # Filled in a copy: what is rolled back must not be taken for known.
        anew = self._known.file not in (None, database)
        known = self._known.copy() if self._known.file is database else KnownRows()
        known.file = database
        with database.transaction() as connection:
            batch.write(connection, self._project, known)
        self._known = known
        if anew:
            # The file of before had what is not in this batch.
            self._notes.put_back(Batch())
        return True

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        return self._use(lambda database: work(database.connection))

    def _use(self, work: Callable[[Database], T]) -> T | None:
        return self._store().use(work)

    def _store(self) -> Store:
        # SQLite is loaded with the first use only: a command that goes over a shared link has none.
        from podops.history.store import Store

        with self._opening:
            if self._opened is None:
                self._opened = Store(self._directory, self._tell)
            return self._opened
