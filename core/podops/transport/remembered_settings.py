"""What `ssh -G` said the last time, for the next: asking anew is most of what comes before a connection.

It is only ever used where everything that its answer was made from is as it was: the program, the account, each file
that is read, each variable that is named there. What depends on more than that is never remembered.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pwd
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podops.state_dir import private_directory, state_dir
from podops.transport.ssh_files import MOST_FILES, ssh_files

#: A destination's settings by their names.
Values = Mapping[str, tuple[str, ...]]

#: Part of what an answer is remembered for.
_FORMAT = "1"

#: So many notes are kept, and none grows beyond so many bytes.
_KEPT, _MOST_BYTES = 20, 8 * 2**20

#: Built for another place, `ssh` has a system-wide file that nobody here knows.
_PROGRAMS = ("/usr/bin/ssh", "/bin/ssh")

_VARIABLE = re.compile(rb"\$\{(\w+)\}")
_INCLUDE = re.compile(rb"[ \t]*include[ \t]+(.*)", re.IGNORECASE)
_READ = re.compile(r"^debug1: Reading configuration data (.+?)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of `ssh -G -v`, and what it told on its standard error while it made it."""

    values: Values
    told: str


@dataclass(frozen=True, slots=True)
class _Sources:
    """What answers are made from: its hash, the files among it, and whether it is all of it."""

    key: str
    files: tuple[str, ...]
    whole: bool


#: Notes that were read, by their files: what was answered to each question, as it stands there.
_notes: dict[Path, dict[str, str]] = {}


def remembered(command: Sequence[str], ssh_config: str | None, ask: Callable[[], Said], usual: Values) -> Values:
    """What `command`, an `ssh -G` for one destination, says, or has said with everything as it is now.

    `ask` runs it; what that raises is raised. `usual` is what most destinations have, and is not noted for each.
    """
    sources = _sources(command[0], ssh_config, os.environ)
    note = state_dir(os.environ) / "ssh-settings" / f"{sources.key}.jsonl"
    question = json.dumps(list(command[1:]))
    if sources.whole and (known := _known(note, question, usual)) is not None:
        return known
    said = ask()
    # Read again: what has changed meanwhile may be in the answer or not.
    if sources.whole and _made_from(said, sources) and _sources(command[0], ssh_config, os.environ) == sources:
        special = {name: said.values.get(name) for name in {*usual, *said.values}}
        answer = json.dumps({name: given for name, given in special.items() if given != usual.get(name)})
        _noted(note)[question] = answer
        with suppress(OSError):
            _append(note, f"{question}\t{answer}\n")
    return said.values


def _known(note: Path, question: str, usual: Values) -> Values | None:
    answer = _noted(note).get(question)
    if answer is None:
        return None
    try:
        special = {
            name: None if given is None else tuple(map(str, given)) for name, given in json.loads(answer).items()
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return {name: given for name, given in {**usual, **special}.items() if given is not None}


def _sources(program: str, ssh_config: str | None, environ: Mapping[str, str]) -> _Sources:
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        digest.update(len(part).to_bytes(8, "big") + part)

    real = Path(os.path.realpath(program))
    found = real.stat()
    for text in (_FORMAT, real, found.st_mtime_ns, found.st_size, *_me(), socket.gethostname(), Path.home()):
        add(os.fsencode(str(text)))
    files, whole = [], program in _PROGRAMS
    for path, content in ssh_files(ssh_config, environ):
        files.append(path)
        add(os.fsencode(path))
        add(b"-" if content is None else b"+" + content)
        variables, says_all = _looked_through(content or b"")
        for name in variables:
            add(name + b"=" + os.fsencode(environ.get(name.decode("ascii", "replace"), "")))
        whole = whole and says_all
    return _Sources(digest.hexdigest()[:32], tuple(files), whole and len(files) < MOST_FILES)


def _me() -> tuple[object, ...]:
    try:
        account = pwd.getpwuid(os.getuid())
    except KeyError:
        return (os.getuid(),)
    return account.pw_uid, account.pw_name, account.pw_dir


@functools.lru_cache(MOST_FILES)
def _looked_through(content: bytes) -> tuple[tuple[bytes, ...], bool]:
    """The variables that a file names, and whether it says all. It is the same for each pod of a fleet."""
    return tuple(sorted(set(_VARIABLE.findall(content)))), _says_all(content)


def _says_all(content: bytes) -> bool:
    """Whether a file means the same as long as nobody changes it, and names other files so that they are found.

    In doubt it does not.
    """
    for line in content.splitlines():
        words = line.strip().lower()
        if words.startswith(b"#"):
            continue
        if b"match" in words and (b"exec" in words or b"localnetwork" in words):
            return False
        if b"include" in words and not _plain_include(line):
            return False
    return True


def _plain_include(line: bytes) -> bool:
    """Whether the files that it names are found as `ssh` finds them, whatever way it has to quote."""
    named = _INCLUDE.match(line)
    patterns = named[1].split() if named else [b'"']
    return not any(re.search(rb"[\\\"'#]|^~(?!/)", pattern) for pattern in patterns)


def _made_from(said: Said, sources: _Sources) -> bool:
    """Whether `ssh` has read no file but those, has run nothing, and has asked no name server."""
    read = {os.path.realpath(path) for path in _READ.findall(said.told)}
    known = {os.path.realpath(path) for path in sources.files}
    asked_names = said.values.get("canonicalizehostname") not in (("false",), ("no",))
    return (
        said.told.startswith("OpenSSH_") and read <= known and "Executing command" not in said.told and not asked_names
    )


def _noted(note: Path) -> dict[str, str]:
    if note not in _notes:
        if len(_notes) >= _KEPT:
            _notes.clear()
        _notes[note] = _read(note)
    return _notes[note]


def _read(note: Path) -> dict[str, str]:
    try:
        own = note.stat().st_uid == os.geteuid()
        lines = note.read_text("utf-8", "replace").split("\n") if own else []
    except OSError:
        return {}
    parted = (line.partition("\t") for line in lines)
    return {question: answer for question, tab, answer in parted if tab}


def _append(note: Path, line: str) -> None:
    """Add a line in one write, as other processes add theirs. Raises `OSError`."""
    directory = private_directory(note.parent)
    if not note.exists():
        for older in sorted(directory.glob("*.jsonl"), key=lambda file: file.stat().st_mtime)[: -_KEPT + 1]:
            older.unlink(missing_ok=True)
    descriptor = os.open(note, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size < _MOST_BYTES:
            os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
