"""JSON records on disk: written so that a reader never sees half of one, read so that a broken one is only reported."""

import errno
import json
import math
import os
import stat

from podops_runners.typed import Any, Dict, List, Optional, Sequence, Tuple

SCHEMA = 1

#: A record larger than this is not ours; it is reported instead of loaded.
MAX_RECORD_BYTES = 4 * 1024 * 1024

_TAIL_BYTES = 16 * 1024

_ENCODER = json.JSONEncoder(ensure_ascii=False)

_TEMPORARY = ".tmp-"

#: Nobody writes on one record for so long, seconds.
_ABANDONED_S = 3600.0


def write_bytes(path: str, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Replace `path` with `data`: temporary file in the same directory, fsync, rename. Raises `OSError`.

    Without `durable` there is no fsync: whole for every reader, but a power cut may take it back.
    """
    temporary = os.path.join(os.path.dirname(path), _TEMPORARY + os.urandom(8).hex())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def sweep(directory: str) -> None:
    """Remove what writers that were killed left half done, long before the newest file. Never raises."""
    try:
        with os.scandir(directory) as entries:
            written = {entry.path: entry.stat().st_mtime for entry in entries}
        # Not by this process's clock: it may be another one than that of the volume.
        newest = max(written.values(), default=0.0)
        for path, moment in written.items():
            if os.path.basename(path).startswith(_TEMPORARY) and newest - moment > _ABANDONED_S:
                os.unlink(path)
    except OSError:
        pass


def write_record(path: str, record: Dict[str, Any], durable: bool = True) -> None:
    """Write one JSON record atomically; `"schema"` is added in front. Raises `OSError`."""
    write_bytes(path, _encoded(record), durable=durable)


def overwrite_record(path: str, record: Dict[str, Any]) -> None:
    """As `write_record`; on a full disk into the file that is there, whose space it has already. Raises `OSError`."""
    try:
        write_record(path, record, durable=False)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        overwrite_bytes(path, _encoded(record))


def overwrite_bytes(path: str, data: bytes) -> None:
    """Put `data` in the place of what an existing file holds. Raises `OSError`."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def create_record(path: str, record: Dict[str, Any]) -> None:
    """Write a record that must not exist yet, whole or not at all, also among machines that share the volume.

    Raises `FileExistsError`, or another `OSError`.
    """
    temporary = "{}.{}.{}".format(path, os.uname().nodename, os.getpid())
    write_bytes(temporary, _encoded(record))
    try:
        # A hard link is the one way to create a file with its content at once, and only once, over NFS too.
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def fits(record: Dict[str, Any]) -> bool:
    """Whether it can be read again once it is written."""
    return len(_encoded(record)) <= MAX_RECORD_BYTES


def _encoded(record: Dict[str, Any]) -> bytes:
    body = {"schema": SCHEMA}
    body.update(record)
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def regular_file(path: str, flags: int) -> int:
    """An `opener` that takes regular files only: a named pipe would keep its reader waiting for ever."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def unreadable(path: str, error: OSError) -> Tuple[str, str]:
    """What to say of a file that is there and cannot be read, and what to do about it."""
    told = "{} cannot be read: {}".format(os.path.basename(path), error.strerror or error)
    return told, "look there what it is: ls -l {}".format(path)


def read_record(path: str) -> Tuple[Optional[Dict[str, Any]], Optional[str]]:
    """Read one JSON object as `(record, problem)`.

    A missing file is `(None, None)`. One that cannot be read or is not a JSON object is `(None, problem)`, the problem
    in words for a person.
    """
    name = os.path.basename(path)
    try:
        data = _beginning(path, MAX_RECORD_BYTES + 1)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, "{} cannot be read: {}".format(name, error.strerror or error)
    if len(data) > MAX_RECORD_BYTES:
        return None, "{} is larger than {} MiB".format(name, MAX_RECORD_BYTES >> 20)
    try:
        record = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None, "{} is not valid JSON (truncated or edited by hand?)".format(name)
    if not isinstance(record, dict):
        return None, "{} is not a JSON object".format(name)
    return record, None


def _beginning(path: str, most: int) -> bytes:
    """The first `most` bytes of a regular file. Raises `OSError`."""
    # Without a file object, which takes three times as long: a run list reads three records of each of its runs.
    descriptor = regular_file(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, min(most, 1 << 16))
        while 0 < len(data) < most:
            more = os.read(descriptor, most - len(data))
            if not more:
                break
            data += more
        return data
    finally:
        os.close(descriptor)


def append_line(path: str, record: Dict[str, Any]) -> None:
    """Append one JSON line with a single write, so that several writers never mix. Raises `OSError`."""
    append_lines(path, [record])


def append_lines(path: str, records: Sequence[Dict[str, Any]]) -> None:
    """The same with many. When there is no room for all, the first of them are kept, each whole."""
    lines = "".join([_ENCODER.encode(record) + "\n" for record in records]).encode("utf-8", "surrogatepass")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(descriptor, lines)
        if written < len(lines):
            # Half a line is worse than none: it would spoil the next one too.
            half = written - (lines.rfind(b"\n", 0, written) + 1)
            os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - half))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(descriptor)


def last_lines(path: str) -> List[Dict[str, Any]]:
    """The last objects of a file of JSON lines, at most 50; what is none is passed over."""
    try:
        with open(path, "rb", opener=regular_file) as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _TAIL_BYTES))
            lines = stream.read(_TAIL_BYTES).split(b"\n")
    except OSError:
        return []
    return objects_in(lines[-50:])


def objects_in(lines: Sequence[bytes]) -> List[Dict[str, Any]]:
    """Those of the lines that are JSON objects."""
    found = []
    for line in lines:
        try:
            record = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


def number(value: Any) -> Optional[float]:
    """A finite number as a float; `None` for anything else, whatever a record holds there."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
