"""Durations as people write them."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(value: object) -> float | None:
    """Seconds of `90s`, `15m`, `1h30m`, `2d` or a plain number; `None` for `none` (never).

    Raises `ValueError` that says what would be right.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    text = str(value).strip().lower()
    if text == "none":
        return None
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{value!r} is not a duration: write 90s, 15m, 24h, 2d or none")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
