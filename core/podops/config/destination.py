"""A place as a person names it to `ssh`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Destination:
    """A place as a person names it, before any configuration file is read."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read `alias`, `user@host`, `user@host:port` or `ssh://user@host:port`. Raises `ValueError`."""
        rest = text.strip().removeprefix("ssh://")
        user, _, place = rest.rpartition("@")
        host, port = place, ""
        if place.startswith("["):
            host, _, port = place[1:].partition("]")
            port = port.removeprefix(":")
        elif place.count(":") == 1:
            host, _, port = place.partition(":")
        if not host or host.startswith("-") or user.startswith("-"):
            raise ValueError(f"{text!r} is not an SSH destination")
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r}: {port[:20]!r} is not a port")
        return cls(host, user or None, int(port) if port else None)
