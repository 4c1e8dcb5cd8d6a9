"""What the machine `ops` runs on needs: a terminal, the project file, and the programs that its pods call for."""

from __future__ import annotations

import curses
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping

from podops import __version__
from podops.config.model import ProjectConfig
from podops.doctor.check import Check, Level

_COLOURS_WANTED = 16


def machine_checks(environ: Mapping[str, str]) -> list[Check]:
    """What can be said without a project file."""
    return [
        _check("ok", "podops", f"{__version__} on Python {platform.python_version()}, {platform.system()}"),
        _terminal(environ),
        _locale(environ),
    ]


def project_checks(config: ProjectConfig, environ: Mapping[str, str]) -> Iterator[Check]:
    """The files and variables the project was read from, and the programs its pods call for."""
    file, *overlays = (str(path) for path in config.sources)
    told = [file, *(f"with {overlay} over it" for overlay in overlays)]
    names = sorted(name for name in environ if name == "REMOTE_OUTPUTS_DIR" or (name[:4] == "OPS_" and "__" in name))
    told += [f"then {', '.join(names)} of the environment"] if names else []
    yield _check("ok", "project", ", ".join(told))
    if not config.pods:
        yield _check("warn", "project", "no pods", "add one under `pods:`")
    if any(pod.ssh for pod in config.pods.values()):
        # The link needs no ssh program: asyncssh speaks the protocol. Attaching to a run does.
        yield _program("ssh", "warn", "without it `ops run attach` cannot reach a pod: install openssh-client")
    if any(pod.docker for pod in config.pods.values()) and not shutil.which("podman"):
        # Nor the docker program: the link speaks to the engine itself.
        yield _program("docker", "warn", "without it (or podman) `ops run attach` cannot reach a container")
    if any(pod.local for pod in config.pods.values()) and config.tmux.enabled:
        yield _program("tmux", "fail", "install tmux for the pods that are this machine")


def _check(level: Level, what: str, message: str, hint: str = "") -> Check:
    return Check(level, "this machine", what, message, hint)


def _program(name: str, level: Level, cure: str) -> Check:
    found = shutil.which(name)
    return _check("ok", name, found) if found else _check(level, name, "not found", cure)


def _terminal(environ: Mapping[str, str]) -> Check:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _check("ok", "terminal", "none here: commands work, the app needs one")
    kind = environ.get("TERM", "")
    size = os.get_terminal_size()
    shown = f"{kind or 'TERM is not set'}, {size.columns}x{size.lines}, {_colour_name(environ)}"
    if kind in ("", "dumb", "unknown") or _colours(environ) < _COLOURS_WANTED:
        return _check("warn", "terminal", shown, "export TERM=xterm-256color, or what your terminal really is")
    if size.columns < 80 or size.lines < 24:
        return _check("warn", "terminal", shown, "the app wants at least 80x24: make the window larger")
    return _check("ok", "terminal", shown)


def _colours(environ: Mapping[str, str]) -> int:
    """How many colours the terminal says it shows."""
    if environ.get("COLORTERM", "") in ("truecolor", "24bit"):
        return 1 << 24
    try:
        curses.setupterm(environ.get("TERM") or "dumb", fd=1)
        return curses.tigetnum("colors")
    except curses.error:
        return 0


def _colour_name(environ: Mapping[str, str]) -> str:
    count = _colours(environ)
    return "full colour" if count == 1 << 24 else f"{count} colours" if count > 0 else "no colours"


def _locale(environ: Mapping[str, str]) -> Check:
    """The first of the three that is set counts, as the C library has it."""
    name = next((name for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), None)
    value = environ[name] if name else ""
    if "utf" in value.lower():
        return _check("ok", "locale", f"{name}={value}")
    shown = f"{name}={value}" if name else "neither LC_ALL, LC_CTYPE nor LANG is set"
    return _check("warn", "locale", f"{shown}: lines and bars need UTF-8", "export LANG=C.UTF-8")
