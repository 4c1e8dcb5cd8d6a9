"""Durations and sizes as people write them."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: Nothing lasts longer, seconds: a thousand years.
_MOST_S = 1000 * 366 * 86400.0

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(value: object) -> float | None:
    """Seconds of `90s`, `15m`, `1h30m`, `2d` or a plain number; `None` for `none` (never).

    Raises `ValueError` that says what would be right.
    """
    text = str(value).strip().lower()
    if text == "none":
        return None
    parts = _PART.findall(text)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif not parts or "".join(number + unit for number, unit in parts) != text:
        seconds = -1.0
    else:
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 <= seconds <= _MOST_S:
        raise ValueError(f"{str(value)[:40]!r} is not a duration: write 90s, 15m, 24h, 2d or none")
    return seconds


_SIZES = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
_SIZES |= {
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
    "": 1,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "t": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\Z")


def parse_size(value: object) -> int | None:
    """Bytes of `512MiB`, `20GB`, `2G` (1024-based) or a plain number; `None` for `none` (no limit).

    Raises `ValueError` that says what would be right.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    text = str(value).strip().lower()
    if text == "none":
        return None
    match = _SIZE.match(text)
    if match is None or match.group(2) not in _SIZES:
        raise ValueError(f"{value!r} is not a size: write 512MiB, 20GB, 2G or none")
    return int(float(match.group(1)) * _SIZES[match.group(2)])
