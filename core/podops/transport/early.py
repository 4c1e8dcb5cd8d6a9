"""`ssh` that is started before what speaks through it is loaded.

Half of what a command takes is waiting for `ssh` to log in; loading the engine takes about as long. A note of the
command lines that led to a project's pods the last time lets both happen at once. It is only ever a guess: what was
started is used where it is exactly what would be started now, else it is ended.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from podops.state_dir import private_directory, state_dir, write_whole

#: More pods than this are not worth so many processes.
MOST = 16

#: Run by `ssh` instead.
_ASKPASS = Path(__file__).with_name("askpass.sh")

#: Becomes the command behind it. `ssh` sends its ProxyCommand this signal the moment that hangs up, mostly before it
#: has said why; what is ignored stays so. Who ends the `ssh` ends the rest of its session.
_DEAF = ("/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh")

#: So many notes are kept.
_KEPT = 50

#: What was started and not taken, by its command line; the lines that led to each pod by now.
_started: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}
_worked: dict[str, tuple[str, ...]] = {}


def begin(key: str, pods: Sequence[str] | None, environ: Mapping[str, str]) -> None:
    """Start `ssh` to these pods, or all, of the project that `key` stands for, as it was noted. Never raises."""
    ways = _noted(key, environ)
    chosen = [ways[name] for name in (ways if pods is None else pods) if name in ways]
    if _started or not 0 < len(chosen) <= MOST:
        return
    atexit.register(end)
    with contextlib.suppress(OSError, ValueError):
        for line in chosen:
            _started[line] = start(line, environ)


def start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """An `ssh` away from this terminal's signals. Raises `OSError`, `ValueError` for words that cannot be any."""
    pipe, words = subprocess.PIPE, [*_DEAF, *command]
    return subprocess.Popen(
        words, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, env=environment(environ)
    )


def take(command: Sequence[str]) -> subprocess.Popen[bytes] | None:
    """What was started early with exactly this command line, once."""
    return _started.pop(tuple(command), None)


def end() -> None:
    """End what nobody took."""
    while _started:
        _, process = _started.popitem()
        with contextlib.suppress(OSError):
            # Its session, so that no ProxyCommand is left behind.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def worked(pod: str, command: Sequence[str]) -> None:
    """`command` has led to `pod`."""
    _worked[pod] = tuple(command)


def remember(key: str, environ: Mapping[str, str]) -> None:
    """Note for the next command how the pods of a project were reached. Never raises."""
    before = _noted(key, environ)
    ways = before | _worked
    if ways == before:
        return
    data = json.dumps(ways).encode()
    try:
        note = _note(key, environ)
        directory = private_directory(note.parent)
        for older in sorted(directory.glob("*.json"), key=lambda file: file.stat().st_mtime)[: -_KEPT + 1]:
            older.unlink(missing_ok=True)
        write_whole(note, data)
    except OSError:
        return


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours but for the locale, which most configurations send along: the pod's runs must not depend on who asks.

    Where nobody would be told that a security key waits to be touched, `ssh` tells it on its standard error.
    """
    kept = {name: value for name, value in environ.items() if name != "LANG" and not name.startswith("LC_")}
    if not _asks_elsewhere(kept):
        kept |= {"SSH_ASKPASS": str(_ASKPASS), "SSH_ASKPASS_REQUIRE": "force"}
    return kept


def _asks_elsewhere(environ: Mapping[str, str]) -> bool:
    """Whether `ssh` without a terminal has a program of the user's own, or a window, to ask with."""
    if environ.get("SSH_ASKPASS_REQUIRE"):
        return True
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return False
    import shutil

    return bool(environ.get("SSH_ASKPASS") or shutil.which("ssh-askpass", path=environ.get("PATH")))


def _noted(key: str, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The command line that led to each pod; empty when there is no note, or none that can be used."""
    try:
        noted = json.loads(_note(key, environ).read_bytes())
        lines = {str(name): tuple(str(word) for word in line) for name, line in noted.items()}
        return {name: line for name, line in lines.items() if line[:1] == ("ssh",)}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _note(key: str, environ: Mapping[str, str]) -> Path:
    return state_dir(environ) / "ways" / f"{key}.json"
