"""Passwords of hosts in ~/.netrc: read by parsing, stored without a change to any other entry or comment.

It needs nothing but the standard library: as it is, it stands in the scripts that `ops doctor --fix` upgrades.
"""

from __future__ import annotations

import netrc
import os
import re
import stat
from collections.abc import Iterable

#: Where wandb looks: its default host since 0.31, and the one from before, which newer ones fall back on.
WANDB_HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")


class NetrcError(Exception):
    """The file cannot be used or stored; the text says why, never what stands in it."""


def standard_path() -> str:
    return os.path.expanduser("~/.netrc")


def passwords(path: str) -> dict[str, str]:
    """Password by host, as far as there are any; empty for a file that is missing or broken."""
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return {}
    return {host: entry[2] for host, entry in hosts.items() if entry[2]}


def is_broken(path: str) -> bool:
    """Whether there is a file that no program can read the passwords of."""
    try:
        netrc.netrc(path)
    except FileNotFoundError:
        return False
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return True
    return False


def store(path: str, password: str, hosts: Iterable[str]) -> bool:
    """See to it that each host has this password and the file mode 600; whether anything had to be changed.

    Everything else in it stays as it is. Raises `NetrcError`, and leaves the file alone then.
    """
    target = os.path.realpath(path)  # a link to a file on a volume stays one
    wanted = list(hosts)
    try:
        known = passwords(target)
        if all(known.get(host) == password for host in wanted):
            return _close_to_others(target)
        text = ""
        if os.path.exists(target):
            with open(target, encoding="utf-8", errors="surrogateescape") as stream:
                text = stream.read()
        for host in wanted:
            if known.get(host) != password:
                text = _with_entry(text, host, password)
        _replace(target, text, password, wanted, known)
    except OSError as error:
        raise NetrcError("{}: {}".format(path, error.strerror or error))
    return True


def _with_entry(text: str, host: str, password: str) -> str:
    kept = _without_entry(text.splitlines(), host)
    entry = ["machine {}".format(host), "  login user", "  password {}".format(password)]
    # Some programs read no further than `default`.
    place = next((number for number, line in enumerate(kept) if line.split()[:1] == ["default"]), len(kept))
    if _is_inside_a_macro(kept[:place]):
        entry.insert(0, "")
    return "\n".join(kept[:place] + entry + kept[place:]) + "\n"


def _without_entry(lines: list[str], host: str) -> list[str]:
    """The lines but for those of the host's own entry; comments inside it stay."""
    kept, inside = [], False
    for line in lines:
        words = line.split()
        if words[:1] in (["machine"], ["default"], ["macdef"]):
            inside = words[:1] == ["machine"] and words[1:2] == [host]
        if not inside or not words or words[0].startswith("#"):
            kept.append(line)
    return kept


def _is_inside_a_macro(lines: list[str]) -> bool:
    """Whether the next line would belong to a macro, which takes in everything up to an empty line."""
    inside = False
    for line in lines:
        inside = bool(line.strip()) and (inside or line.split()[0] == "macdef")
    return inside


def _replace(target: str, text: str, password: str, hosts: list[str], known: dict[str, str]) -> None:
    """Put `text` in the file's place once it has been parsed and says what it should."""
    import tempfile

    descriptor, temporary = tempfile.mkstemp(prefix=".netrc-", dir=os.path.dirname(target))
    try:
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        expected = dict(known, **dict.fromkeys(hosts, password))
        if passwords(temporary) != expected:
            raise NetrcError("{} cannot be parsed; mend it by hand".format(target))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _close_to_others(path: str) -> bool:
    if stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0:
        return False
    os.chmod(path, 0o600)
    return True


def is_key(text: str) -> bool:
    """Whether `text` can be a W&B key at all; wandb refuses shorter ones, and ends the run."""
    return re.match(r"[A-Za-z0-9_.-]{40,500}\Z", text) is not None
