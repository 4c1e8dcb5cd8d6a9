"""When a run shall start, as people write it: `22:30`, `2026-11-21 22:30`, `2h`."""

from __future__ import annotations

from datetime import datetime, timedelta

from podops.config.units import parse_duration
from podops.errors import UsageError

_FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%H:%M")


def parse_moment(text: str, now: datetime) -> float | None:
    """Unix time of `text`, seen at `now` (local, without zone); `None` for what is not a time."""
    try:
        zoned = datetime.fromisoformat(text.strip())
        if zoned.tzinfo is not None:
            return zoned.timestamp()
    except ValueError:
        pass
    for form in _FORMS:
        try:
            found = datetime.strptime(text.strip(), form)
        except ValueError:
            continue
        if form != "%H:%M":
            return found.timestamp()
        today = now.replace(hour=found.hour, minute=found.minute, second=0, microsecond=0)
        return (today if today > now else today + timedelta(days=1)).timestamp()
    return None


def parse_start(text: str, now: datetime) -> tuple[float | None, float | None]:
    """`(delay in seconds, Unix time)`, at most one of them, of `2h` or `22:30`. Raises `UsageError`."""
    if not text.strip():
        return None, None
    moment = parse_moment(text, now)
    if moment is not None:
        if moment < now.timestamp():
            raise UsageError(f"start: {text.strip()} is past")
        return None, moment
    try:
        return parse_duration(text), None
    except ValueError:
        hint = "write how long from now (90s, 2h) or when (22:30, 2026-11-21 22:30)"
        raise UsageError(f"start: {text.strip()!r} is no time", hint) from None
