"""What a provider writes as the way to a pod: `ssh root@203.0.113.7 -p 30022 -i ~/.ssh/key`, read strictly."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_DESTINATION = re.compile(
    r"(?:ssh://)?(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)(?::(?P<port>\d+))?/?\Z"
)
#: Of no meaning for a link, which forwards nothing and has no terminal.
_IGNORED = {"-t", "-tt", "-T", "-q", "-v", "-4", "-6", "-N", "-A"}
_IGNORED_WITH_VALUE = {"-L", "-R", "-D"}
#: These would only lower the guard; host keys are checked all the same.
_IGNORED_OPTIONS = ("stricthostkeychecking", "userknownhostsfile", "loglevel", "identitiesonly", "serveralive")


@dataclass(frozen=True, slots=True)
class SshWay:
    """`host` is an alias or an address; what is `None` is left to the OpenSSH configuration."""

    host: str
    user: str | None = None
    port: int | None = None
    identity_file: str | None = None

    @property
    def destination(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host


def parse_ssh(text: str) -> SshWay:
    """Read an `ssh` command line, or its destination alone. Raises `ValueError` that says what it cannot be."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text[:200]!r}: {error}") from None
    if words and words[0].rpartition("/")[2] == "ssh":
        words = words[1:]
    taken: dict[str, str] = {}
    places: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            places.append(word)
        elif word not in _IGNORED:
            flag, value = (word[:2], word[2:]) if len(word) > 2 else (word, words.pop(0) if words else "")
            _take(flag, value, taken, text)
    if len(places) != 1:
        what = "names no host" if not places else f"runs a command or names two hosts: {places[1][:80]!r}"
        raise ValueError(f"{text[:200]!r} {what}")
    return _way(places[0], taken, text)


def _take(flag: str, value: str, taken: dict[str, str], text: str) -> None:
    if not value:
        raise ValueError(f"{text[:200]!r}: {flag} has no value")
    if flag in ("-p", "-i", "-l"):
        taken[flag] = value
    elif flag == "-o" and value.lower().lstrip().startswith(_IGNORED_OPTIONS):
        return
    elif flag not in _IGNORED_WITH_VALUE:
        raise ValueError(f"{text[:200]!r}: {flag} {value[:80]} is not taken here; put it into ~/.ssh/config")


def _way(place: str, taken: dict[str, str], text: str) -> SshWay:
    match = _DESTINATION.match(place)
    user = taken.get("-l") or (match["user"] if match else None)
    if match is None or (user is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", user)):
        raise ValueError(f"{text[:200]!r} is not a way by SSH: write host, user@host or a whole ssh command")
    port = taken.get("-p") or match["port"]
    if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{text[:200]!r}: {port[:20]!r} is not a port")
    identity = taken.get("-i")
    if identity is not None and ("\n" in identity or identity.startswith("-")):
        raise ValueError(f"{text[:200]!r}: {identity[:80]!r} is not a file")
    return SshWay(match["host"], user, int(port) if port else None, identity)
