"""Our own tmux server on a pod, started from a clean environment, and the sessions in it."""

import os
import time

from podops_runners import machine, on_path, records
from podops_runners.typed import Dict, List, Optional

_STATE_DIR = "PODOPS_STATE_DIR"

#: Variables a tmux server of ours may carry; everything else could be somebody's secret.
_SERVER_ENVIRONMENT = (
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TMUX_TMPDIR",
    # Where a container has NVIDIA's library: the agent must see the GPUs that the link has seen.
    "LD_LIBRARY_PATH",
    _STATE_DIR,
)

#: Where the version of this machine's tmux is kept: asking takes as long as the rest of a hello.
_VERSION = "tmux.json"

#: How long tmux may take to tell its version, which nothing depends on, and to do anything else, seconds.
_TELL_S, _ANSWER_S = 1.5, 4.0

#: After a tmux that did not answer nobody asks it for so long, seconds; its mark is the time of this file.
_HUNG, _HUNG_S = "tmux.hung", 60.0


class TmuxError(Exception):
    """tmux is missing or refused; the text says which."""


def available() -> Optional[str]:
    """The path of `tmux`, or `None`."""
    return on_path.find("tmux")


def version() -> Optional[str]:
    """What `tmux -V` says, asked once for each tmux there is; `None` without a tmux."""
    program = available()
    if program is None or _is_hung():
        return None
    try:
        info = os.stat(program)
        mark = [program, info.st_mtime_ns, info.st_size]
        note = machine.path_of(_VERSION)
        known = records.read_record(note)[0] or {}
        if known.get("tmux") == mark:
            return str(known.get("version"))
        told = _tell_version(program)
        if told:
            records.write_record(note, {"tmux": mark, "version": told}, durable=False)
        return told
    except OSError:
        return _tell_version(program)


def _tell_version(program: str) -> Optional[str]:
    import subprocess

    try:
        said = subprocess.run(
            [program, "-V"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_TELL_S
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.decode("utf-8", "replace").replace("tmux", "").strip() or None


def clean_environment() -> Dict[str, str]:
    env = {name: os.environ[name] for name in _SERVER_ENVIRONMENT if name in os.environ}
    env["TERM"] = "screen-256color"
    # Without a UTF-8 locale tmux shows underscores for every other character.
    if not any("utf" in env.get(name, "").lower() for name in ("LC_ALL", "LANG")):
        env["LC_ALL"] = "C.UTF-8"
    return env


def new_session(socket: str, session: str, command: List[str], directory: str, stay: bool = True) -> None:
    """Start `command` in a detached session of the server on `socket`, starting that server first if there is none.

    Without `stay` the server ends with its last session.

    The server is started by a command of its own: whatever stands in the arguments of the command that starts a
    server stays visible in its argv for life. Raises `TmuxError`.
    """
    if stay:
        _tmux(socket, ["start-server", ";", "set-option", "-g", "exit-empty", "off"], clean_server=True)
    # A session has the environment of its server, which may have been started for another machine directory.
    chosen = os.environ.get(_STATE_DIR)
    command = ["env", "{}={}".format(_STATE_DIR, chosen)] + command if chosen else command
    # A pane that is big enough for any log line one attaches to; clients resize it to their own terminal.
    _tmux(socket, ["new-session", "-d", "-s", session, "-x", "200", "-y", "50", "-c", directory, "--"] + command, True)


def has_session(socket: str, session: str) -> bool:
    try:
        _tmux(socket, ["has-session", "-t", "=" + session])
    except TmuxError:
        return False
    return True


def directory_of(socket: str, session: str) -> str:
    """The directory a session was started in; empty when there is none, or when this tmux does not tell."""
    try:
        return _tmux(socket, ["display-message", "-p", "-t", "={}:".format(session), "#{session_path}"]).strip()
    except TmuxError:
        return ""


def _tmux(socket: str, arguments: List[str], clean_server: bool = False) -> str:
    program = available()
    if program is None:
        raise TmuxError("tmux is not installed")
    if _is_hung():
        raise TmuxError("tmux did not answer a moment ago")
    # Here, because a link that finds the agent at work starts nothing.
    import subprocess

    prefix = [program, "-L", socket] + (["-f", "/dev/null"] if clean_server else [])
    try:
        done = subprocess.run(
            prefix + arguments,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_ANSWER_S,
        )
    except subprocess.TimeoutExpired:
        _note_hung()
        raise TmuxError("tmux did not answer within {:g} s".format(_ANSWER_S))
    except OSError as error:
        raise TmuxError("tmux cannot be started: {}".format(error))
    if done.returncode != 0:
        raise TmuxError(done.stderr.decode("utf-8", "replace").strip() or "tmux failed")
    return done.stdout.decode("utf-8", "replace")


def _is_hung() -> bool:
    """Whether it has not answered somebody a while ago, whom it kept waiting long enough for all."""
    try:
        return 0 <= time.time() - os.stat(machine.path_of(_HUNG)).st_mtime < _HUNG_S
    except OSError:
        return False


def _note_hung() -> None:
    try:
        records.write_bytes(machine.path_of(_HUNG), b"", durable=False)
    except OSError:
        pass
