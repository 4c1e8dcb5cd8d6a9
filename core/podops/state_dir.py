"""Where this user's own state on this machine lies: the history of every fleet, the sockets of shared links."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path


def state_dir(environ: Mapping[str, str]) -> Path:
    """`$OPS_STATE_DIR`, else `$XDG_STATE_HOME/podops`, else `~/.local/state/podops`; it need not exist."""
    chosen = environ.get("OPS_STATE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    standard = environ.get("XDG_STATE_HOME", "")
    # The XDG rules: a relative path there is to be ignored.
    base = Path(standard) if standard.startswith("/") else Path("~/.local/state").expanduser()
    return base / "podops"


def private_directory(path: Path) -> Path:
    """Make `path` if it is missing, for this user alone. Raises `OSError`, also when it belongs to somebody else."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(None, "it belongs to another user", str(path))
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path` for this user alone, in place of what is there: all of it, or nothing and no trace.

    Raises `OSError`.
    """
    fresh = path.with_name(f".{os.getpid()}-{threading.get_ident()}")
    try:
        with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
            stream.write(data)
        fresh.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
