"""Where the socket of a project's shared links is; imports next to nothing, because a command's start waits for it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from podops import __version__
from podops.config.find import find_project, is_setting, local_files
from podops.state_dir import state_dir
from podops.transport.ssh_files import ssh_files

#: What both ends speak after the connection is made; part of the socket's name, so that versions never meet.
PROTOCOL = 1

#: The longest path a Unix socket may have everywhere, bytes.
_MOST_PATH = 100

_VARIABLE = re.compile(rb"\$\{(\w+)\}")
_SSH_CONFIG = re.compile(rb"""ssh_config["']?\s*:\s*["']?([^\s"',}]+)""")


def project_files(config: Path | None) -> tuple[Path, ...]:
    """The files that `ops` would read the project from; empty when there is none."""
    chosen = config or find_project(Path.cwd())
    return (chosen, *local_files(chosen)) if chosen is not None and chosen.is_file() else ()


def project_key(files: Sequence[Path], environ: Mapping[str, str]) -> str:
    """The same for two processes only if they mean the same project, pods and all. Raises `OSError`.

    It is made from everything the project is read from: a file that changed in any way has another key, so that a
    holder of links is never asked about a project it does not know.
    """
    digest = hashlib.sha256()
    for part in _parts(files, environ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:24]


def socket_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_RUNTIME_DIR/podops` where that is this user's, else a folder of the state directory; it need not exist."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    # After `sudo` it is often still that of the user before.
    if runtime.startswith("/") and _is_own_directory(runtime):
        return Path(runtime) / "podops"
    # Several machines may share a home: a socket is of use on its own only.
    return state_dir(environ) / f"run-{os.uname().nodename}"


def _is_own_directory(path: str) -> bool:
    try:
        found = Path(path).stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def socket_address(directory: int, path: Path) -> str:
    """What to bind or connect to for `path`, whose folder is open as `directory`: that way it cannot be too long."""
    if len(os.fsencode(path)) < _MOST_PATH:
        return str(path)
    return f"/proc/self/fd/{directory}/{path.name}"


def _parts(files: Sequence[Path], environ: Mapping[str, str]) -> Iterator[bytes]:
    yield f"{PROTOCOL} {__version__}".encode()
    ssh_configs: set[str | None] = {None}
    for file in files:
        text = file.read_bytes()
        yield os.fsencode(file.resolve())
        yield text
        for name in sorted(set(_VARIABLE.findall(text))):
            yield name + b"=" + os.fsencode(environ.get(name.decode("ascii", "replace"), ""))
        ssh_configs |= {os.fsdecode(path) for path in _SSH_CONFIG.findall(text)}
    for name, value in sorted(environ.items()):
        if is_setting(name) or name in ("REMOTE_OUTPUTS_DIR", "HOME"):
            yield os.fsencode(f"{name}={value}")
    # Where an alias leads is written there.
    for config in sorted(ssh_configs, key=str):
        for path, content in ssh_files(config, environ):
            yield os.fsencode(path)
            yield b"-" if content is None else b"+" + content
