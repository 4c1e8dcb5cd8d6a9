"""What the OpenSSH client itself makes of its configuration: `ssh -G`, which misses no Include, Match or token."""

from __future__ import annotations

import functools
import getpass
import hashlib
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from podops.transport.remembered_settings import Said, Values, remembered

#: A `Match exec` or a name that must be looked up may take this long, seconds.
_READ_S = 10.0

_TOKEN = re.compile(r"%(.)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of one destination. Keys are in lower case; a key given several times has several values."""

    values: Values
    tokens: Mapping[str, str] = field(default_factory=dict)

    def one(self, key: str) -> str | None:
        """The value as it is; `None` when there is none or it says `none`."""
        found = self.values.get(key, ("none",))[0]
        return None if found.lower() == "none" else found

    def flag(self, key: str) -> bool:
        return self.one(key) in ("yes", "true")

    def paths(self, key: str) -> tuple[Path, ...]:
        """Files, with `~`, tokens and variables filled in."""
        return tuple(self.path(name) for name in self.values.get(key, ()) if name.lower() != "none")

    def path(self, name: str) -> Path:
        return Path(self.filled_in(name)).expanduser()

    def filled_in(self, text: str) -> str:
        """`text` with `%h` and the like, and `${NAME}`, replaced. Raises `ValueError` for one that is not known."""

        def token(match: re.Match[str]) -> str:
            if match[1] not in self.tokens:
                raise ValueError(f"%{match[1]} in {text!r} is not known")
            return self.tokens[match[1]]

        filled = _TOKEN.sub(token, text)
        return _VARIABLE.sub(lambda match: os.environ.get(match[1], ""), filled)


def read_settings(host: str, user: str | None, port: int | None, ssh_config: str | None) -> Settings | None:
    """The settings for a destination, or `None` on a machine without the OpenSSH client.

    Raises `ValueError` for a configuration that OpenSSH refuses.
    """
    program = shutil.which("ssh")
    if program is None:
        return None
    command = [program, "-G", *config_flags(ssh_config)]
    command += ["-l", user] if user else []
    command += ["-p", str(port)] if port else []
    values = _answer([*command, "--", host], ssh_config, default_values())
    return Settings(values, _tokens(host, values))


@functools.cache
def default_values() -> Values:
    """The settings where nothing is configured; empty without the OpenSSH client."""
    program = shutil.which("ssh")
    return {} if program is None else _answer([program, "-G", "-F", "none", "--", "podops"], os.devnull, {})


def config_flags(ssh_config: str | None) -> list[str]:
    """Elsewhere in podops `~` is `$HOME`; OpenSSH asks the account database, so it is told where they differ."""
    if ssh_config:
        return ["-F", str(Path(ssh_config).expanduser())]
    if home_of_account() == Path.home():
        return []
    mine = Path("~/.ssh/config").expanduser()
    return ["-F", str(mine) if os.access(mine, os.R_OK) else "none"]


def home_of_account() -> Path:
    """Where `ssh` looks for a user's files."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path.home()


def _answer(command: list[str], ssh_config: str | None, usual: Values) -> Values:
    return remembered(command, ssh_config, lambda: _run([command[0], "-v", *command[1:]]), usual)


def _run(command: list[str]) -> Said:
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_READ_S,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"`ssh -G` gave no answer within {_READ_S:g} s") from None
    told = done.stderr.decode("utf-8", "surrogateescape")
    if done.returncode:
        said = [line for line in told.strip().splitlines() if not line.startswith(("debug1: ", "OpenSSH_"))]
        raise ValueError(said[0] if said else f"`ssh -G` ended with status {done.returncode}")
    values: dict[str, list[str]] = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
        key, _, value = line.partition(" ")
        values.setdefault(key.lower(), []).append(value.strip().removeprefix('"').removesuffix('"'))
    return Said({key: tuple(found) for key, found in values.items()}, told)


def _tokens(host: str, values: Values) -> dict[str, str]:
    """What `%h` and its like stand for, from ssh_config(5)."""
    name = values.get("hostname", (host,))[0]
    port = values.get("port", ("22",))[0]
    user = values.get("user", ("",))[0]
    jump = values.get("proxyjump", ("",))[0]
    here = socket.gethostname()
    return {
        "%": "%",
        "h": name,
        "n": host,
        "p": port,
        "r": user,
        "d": str(Path.home()),
        "u": getpass.getuser(),
        "i": str(os.getuid()),
        "l": here,
        "L": here.partition(".")[0],
        "k": values.get("hostkeyalias", (host,))[0],
        "j": jump,
        "C": hashlib.sha1((here + name + port + user + jump).encode()).hexdigest(),
    }


def known_hosts_files(settings: Settings) -> tuple[Path, ...]:
    """The files with trusted host keys, the user's, then the system's, where `ssh` looks whatever `$HOME` is.

    A command's links go through `ssh`, and what a person accepts with it is noted there.
    """
    names = [
        name for key in ("userknownhostsfile", "globalknownhostsfile") for name in (settings.one(key) or "").split()
    ]
    # OpenSSH has filled in the rest already.
    return tuple(home_of_account() / name[2:] if name.startswith("~/") else Path(name) for name in names)
