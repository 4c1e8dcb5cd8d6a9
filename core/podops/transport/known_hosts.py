"""The trusted host keys of OpenSSH's known_hosts files, read once for all pods; a key is read when it is wanted."""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asyncssh.known_hosts import SSHKnownHosts

#: So many readings are kept; pods have the same files as a rule.
_KEPT = 8

#: What makes a name a pattern, for which asyncssh is asked.
_PATTERN = "*?/!|"


class KnownHosts:
    """What stands in some files, by the name of the host. Lines that make no sense are passed over, as by OpenSSH."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._patterns: list[str] = []
        self._hashed: list[tuple[bytes, bytes, str]] = []
        for text in texts:
            for line in text.splitlines():
                self._take(line.strip())

    def _take(self, line: str) -> None:
        words = line.split(None, 2)
        if len(words) < 2 or line.startswith("#"):
            return
        names = words[1] if line.startswith("@") else words[0]
        if names.startswith("|"):
            self._hashed += _hashed(names, line)
        elif any(character in names for character in _PATTERN):
            self._patterns.append(line)
        else:
            for name in names.split(","):
                self._exact.setdefault(name, []).append(line)

    def match(self, host: str, address: str, port: int | None) -> Any:
        """What asyncssh makes of the lines that may be meant: trusted keys, authorities, revoked keys and more."""
        names = [name for name in (host, address) if name]
        if port:
            names += [f"[{name}]:{port}" for name in names]
        store = SSHKnownHosts()
        for line in self._about(names):
            try:
                store.load(line)
            except ValueError:
                continue
        return store.match(host, address, port)

    def _about(self, names: Sequence[str]) -> Iterator[str]:
        for name in dict.fromkeys(names):
            yield from self._exact.get(name, ())
        yield from self._patterns
        encoded = [name.encode() for name in names]
        for salt, digest, line in self._hashed:
            if any(hmac.digest(salt, name, "sha1") == digest for name in encoded):
                yield line


def _hashed(name: str, line: str) -> Iterator[tuple[bytes, bytes, str]]:
    try:
        _, kind, salt, digest = name.split("|")
        if kind == "1":
            yield base64.b64decode(salt), base64.b64decode(digest), line
    except (ValueError, binascii.Error):
        return


def read_known_hosts(files: Sequence[Path]) -> KnownHosts:
    """As the files are now; one that is not there has nothing in it."""
    return _parsed(tuple(_text(file) for file in files))


_parsed = functools.lru_cache(_KEPT)(KnownHosts)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
