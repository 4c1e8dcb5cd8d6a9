"""The history's file: opened for many processes at once, set aside when it cannot be used, never deleted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from podops.history.schema import VERSION, is_ours, migrate, version_of
from podops.state_dir import private_directory

#: How long a write waits for that of another process, seconds.
BUSY_S = 2.0

#: How often it is asked whether another process is done with setting the file aside, and how long in all, seconds.
_LOOK_S, _ASIDE_S = 0.02, 1.0

#: File systems on which memory shared between hosts does not work, so that each host needs a file of its own.
_REMOTE = ("nfs", "cifs", "smb", "fuse", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "wekafs")


class HistoryUnavailable(Exception):
    """There is no history to work with; says why, for a person."""


@dataclass
class Database:
    """An open history. `notes` tell what was done to open it, for a person."""

    path: Path
    connection: sqlite3.Connection
    lock: int
    notes: list[str] = field(default_factory=list)
    #: Which file it is: its device and inode.
    file: tuple[int, int] | None = None

    def is_there(self) -> bool:
        """Whether the file still has its name: what is written to one that was removed is lost."""
        return _file(self.path) == self.file

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        os.close(self.lock)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write, whole or not at all. Raises `sqlite3.Error`."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
            raise


def database_path(directory: Path) -> Path:
    """The file of this machine in `directory`, which may be a home that several machines share."""
    if _file_system(directory).startswith(_REMOTE):
        return directory / f"history-{os.uname().nodename}.db"
    return directory / "history.db"


def open_database(directory: Path) -> Database:
    """Open the history, made or brought up to date if need be. Raises `HistoryUnavailable`.

    One that is damaged, or of a later version, is renamed with the time in its name, unless a process is using it.
    """
    try:
        path = database_path(private_directory(directory))
        lock = _lock(path.with_suffix(".lock"))
    except OSError as error:
        # The directory is to blame but where something else has the place of a file of ours.
        place = error.filename if isinstance(error, IsADirectoryError) else directory
        raise HistoryUnavailable(f"{place}: {error.strerror or error}") from None
    try:
        return _open_locked(path, lock)
    except BaseException:
        os.close(lock)
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether `error` speaks of the file's content; a full disk, a lock or a missing right do not."""
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def lacks_a_part(error: sqlite3.Error) -> bool:
    """Whether `error` says that something is missing which every open history of ours has."""
    return str(error).startswith(("no such table", "no such column"))


def set_aside(path: Path, lock: int, kind: str) -> str:
    """Rename the file and SQLite's companions of it; how to tell it. Raises `HistoryUnavailable`.

    Refused while another process has the history open: SQLite would write to files that have lost their name.
    """
    why = {"damaged": "is damaged", "newer": "was made by a later version of podops", "foreign": "is not a history"}
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise HistoryUnavailable(f"{path} {why[kind]}, and another process is using it") from None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"{path.stem}.{kind}-{stamp}-{os.getpid()}.db")
    try:
        for suffix in ("-wal", "-shm", ""):
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise HistoryUnavailable(f"{path} {why[kind]} and cannot be renamed: {error.strerror}") from None
    finally:
        fcntl.flock(lock, fcntl.LOCK_SH)
    return f"the history {path} {why[kind]}: it was kept as {target.name}, and a new one begun"


def _open_locked(path: Path, lock: int) -> Database:
    notes: list[str] = []
    for _ in range(2):
        try:
            connection = _connect_patiently(path)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise HistoryUnavailable(f"{path}: {error}") from None
            kind = "damaged"
        else:
            kind = _misfit(connection)
            if not kind:
                return Database(path, connection, lock, notes, _file(path))
            connection.close()
        notes.append(set_aside(path, lock, kind))
    raise HistoryUnavailable(f"{path} cannot be made")


def _connect_patiently(path: Path) -> sqlite3.Connection:
    """SQLite does not wait when two make a database, or turn it to WAL, at the same moment: so we do."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return _connect(path)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_S)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        if version_of(connection) <= VERSION and is_ours(connection):
            # Before the first table: space that pruning frees is given back in pieces.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA journal_size_limit = {4 * 2**20}")
            migrate(connection)
            path.chmod(0o600)
    except OSError as error:
        connection.close()
        raise HistoryUnavailable(f"{path}: {error.strerror}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _misfit(connection: sqlite3.Connection) -> str:
    """Why an open database is not a history that we know; empty when it is one."""
    if not is_ours(connection):
        return "foreign"
    return "newer" if version_of(connection) > VERSION else ""


def _lock(path: Path) -> int:
    """A descriptor that holds the shared lock of everybody who has the history open. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _ASIDE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return descriptor
        except OSError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise
            time.sleep(_LOOK_S)


def _file(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _file_system(path: Path) -> str:
    """Its type as the kernel names it; empty where that cannot be told."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields = line.split()
        mount = fields[1].encode().decode("unicode_escape") if len(fields) > 2 else ""
        inside = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, fields[2]
    return kind
