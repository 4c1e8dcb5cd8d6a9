"""Numbers as people read them. Bytes are binary units, times are seconds; `None` is shown as a dash."""

from __future__ import annotations

from podops.fleet.snapshot import RunSnapshot

DASH = "–"

_STATES = {
    "queued": ("◌", "cyan"),
    "held": ("◌", "yellow"),
    "starting": ("◔", "cyan"),
    "running": ("●", "green"),
    "stopping": ("◑", "yellow"),
    "succeeded": ("✓", "blue"),
    "failed": ("✗", "red"),
    "cancelled": ("⊘", "magenta"),
    "lost": ("?", "red"),
}


def state_mark(state: str) -> tuple[str, str]:
    """`(symbol, colour)` of a run's state; an unknown state gets a plain mark."""
    return _STATES.get(state, ("·", "white"))


def size(count: float | None) -> str:
    """`1.5 GiB`."""
    if count is None:
        return DASH
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def age(seconds: float | None) -> str:
    """`7s`, `3m05s`, `2h04m`, `5d03h`."""
    if seconds is None:
        return DASH
    whole = max(0, int(seconds))
    for big, small, one, two in ((86400, 3600, "d", "h"), (3600, 60, "h", "m"), (60, 1, "m", "s")):
        if whole >= big:
            return f"{whole // big}{one}{whole % big // small:02d}{two}"
    return f"{whole}s"


def bar(fraction: float | None, width: int) -> str:
    """A bar of exactly `width` cells; empty when nothing is known."""
    filled = 0 if fraction is None else round(min(1.0, max(0.0, fraction)) * width)
    return "█" * filled + "░" * (width - filled)


def percent(fraction: float | None) -> str:
    """`42%`."""
    return DASH if fraction is None else f"{fraction:.0%}"


def ratio(used: float | None, total: float | None) -> float | None:
    return None if used is None or not total else used / total


def steps(run: RunSnapshot) -> str:
    if run.step is None:
        return DASH
    return f"{run.step}/{run.total_steps}" if run.total_steps else str(run.step)


def remaining(run: RunSnapshot, now: float) -> float | None:
    """Seconds to the last step as they are at `now`; `None` when that cannot be told."""
    if run.ended or run.state == "lost" or run.left_s is None:
        return None
    return max(0.0, run.left_s - max(0.0, now - run.received_at))


def loss(run: RunSnapshot, digits: int = 4) -> str:
    return DASH if run.loss is None else f"{run.loss:.{digits}g}"


def elapsed(run: RunSnapshot, now: float) -> float | None:
    """Seconds the run has taken by `now` (this machine's monotonic clock)."""
    return ticking(run.elapsed_s, run, now) if not run.ended and run.state != "lost" else run.elapsed_s


def ticking(seconds: float | None, run: RunSnapshot, now: float) -> float | None:
    """An age of the snapshot as it is at `now`."""
    return None if seconds is None else seconds + max(0.0, now - run.received_at)
