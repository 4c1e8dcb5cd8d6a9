"""The files an OpenSSH configuration is made of; imports next to nothing, because a command's start waits for it."""

from __future__ import annotations

import functools
import glob
import os
import pwd
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

#: OpenSSH itself goes no deeper, and a folder with more files than this is not read for every command.
_DEEPEST, MOST_FILES = 16, 500

#: Read after the user's own unless a project names another file.
_SYSTEM, _SYSTEM_FOLDER = "/etc/ssh/ssh_config", "/etc/ssh"

_INCLUDE = re.compile(r"^[ \t]*include(?:[ \t]*=[ \t]*|[ \t]+)(.+)$", re.IGNORECASE | re.MULTILINE)
_MATCH_EXEC = re.compile(rb"^[ \t]*match[ \t=].*?\bexec[ \t=]", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_TOKEN = re.compile(r"%(.)")


def ssh_files(ssh_config: str | None, environ: Mapping[str, str]) -> Iterator[tuple[str, bytes | None]]:
    """Every file that says where a host is and how to log in there, and what stands in it; `None`: it cannot be read.

    `ssh_config` is the file that a project names, else they are the user's and the system's. What `Include` names is
    among them, whichever host it is for.
    """
    homes = _homes(environ)
    own = [home + "/.ssh" for home in homes]
    seen: set[str] = set()
    if ssh_config is not None:
        yield from _read(_with_home(ssh_config, homes[0]), own, environ, seen, 0)
        return
    yield from _read(homes[0] + "/.ssh/config", own, environ, seen, 0)
    yield from _read(_SYSTEM, [_SYSTEM_FOLDER], environ, seen, 0)


def decides_by_command(ssh_config: str | None, environ: Mapping[str, str]) -> bool:
    """Whether a `Match exec` may decide where a host is: then the same files can mean something else a moment later."""
    return any(_MATCH_EXEC.search(text or b"") for _, text in ssh_files(ssh_config, environ))


def _read(
    path: str, folders: list[str], environ: Mapping[str, str], seen: set[str], depth: int
) -> Iterator[tuple[str, bytes | None]]:
    if path in seen or len(seen) >= MOST_FILES:
        return
    seen.add(path)
    try:
        text: bytes | None = Path(path).read_bytes() if Path(path).is_file() else None
    except OSError:
        text = None
    yield path, text
    for pattern in _included(text or b"") if depth < _DEEPEST else ():
        for found in _matching(pattern, folders, environ):
            yield from _read(found, folders, environ, seen, depth + 1)


@functools.lru_cache(MOST_FILES)
def _included(text: bytes) -> tuple[str, ...]:
    """Every word of every `Include`. Remembered, as a fleet's files are looked at for each of its pods."""
    lines = _INCLUDE.findall(text.decode("utf-8", "surrogateescape"))
    return tuple(word for line in lines for word in _words(line))


def _matching(pattern: str, folders: list[str], environ: Mapping[str, str]) -> list[str]:
    """The files that a word of `Include` stands for; one that depends on the host stands for those of every host."""
    pattern = _VARIABLE.sub(lambda match: environ.get(match[1], ""), pattern)
    pattern = _TOKEN.sub(lambda match: "%" if match[1] == "%" else "*", pattern)
    if pattern.startswith("~/"):
        wanted = [_with_home(pattern, home) for home in _homes(environ)]
    elif pattern.startswith("/"):
        wanted = [pattern]
    else:
        wanted = [f"{glob.escape(folder)}/{pattern}" for folder in folders]
    below_root = (one.strip("/") for one in wanted)
    return sorted({str(found) for one in below_root if one for found in Path("/").glob(one)})


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def _homes(environ: Mapping[str, str]) -> list[str]:
    """`$HOME`, which is ours, and the account's, which OpenSSH goes by."""
    homes = [environ.get("HOME", "")]
    try:
        homes.append(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        pass
    return list(dict.fromkeys(home for home in homes if home)) or ["/"]


def _with_home(path: str, home: str) -> str:
    return home + path[1:] if path.startswith("~/") else path
