"""What commands print: tables and sentences for people, one JSON document for scripts."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from podops.cli.columns import GAP, filled, fit
from podops.cli.streams import drop_stderr

STATE_COLOURS = {
    "live": "green",
    "running": "green",
    "succeeded": "green",
    "starting": "cyan",
    "stopping": "yellow",
    "connecting": "cyan",
    "stale": "yellow",
    "cancelled": "yellow",
    "unreachable": "red",
    "gone": "magenta",
    "refused": "red",
    "failed": "red",
    "lost": "red",
}


def print_json(document: Any) -> None:
    click.echo(json_text(document, indent=2 if sys.stdout.isatty() else None))


def json_text(document: Any, indent: int | None = None) -> str:
    """`document` as JSON that can steer no terminal: what is not printable, or not in its alphabet, is an escape.

    A number that JSON does not have (a record's `NaN`) is `null`.
    """
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    try:
        text = json.dumps(document, ensure_ascii=not unicode, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(document), ensure_ascii=not unicode, indent=indent)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


#: Whether a line that is only for now stands on standard error.
_for_now = False


def say(text: str) -> None:
    """A message for a person, on standard error; where nobody can be told, the work goes on."""
    say_for_now("")
    try:
        click.echo(clean(text), err=True)
    except OSError:
        drop_stderr()


def say_for_now(text: str) -> None:
    """A line on a terminal in place of the one before, until the next message; with no text, none."""
    global _for_now
    if not (text or _for_now):
        return
    try:
        # The last column stays free: a cursor behind it is in the next line already.
        width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        click.echo(f"\r\x1b[K{filled(clean(text), width - 1).rstrip()}", err=True, nl=False)
        _for_now = bool(text)
    except OSError:
        drop_stderr()


def say_hint(hint: str, indent: str = "") -> None:
    """What to do about what was just said, if that is known."""
    if hint:
        say(f"{indent}hint: {hint}")


def clean(text: str) -> str:
    """`text` without anything that could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def colour_state(state: str) -> str:
    return click.style(state, fg=STATE_COLOURS.get(state)) if use_colour() else state


def use_colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    state_column: int | None = None,
    dim: Sequence[bool] | None = None,
) -> str:
    """Aligned columns, no wider than the terminal; into a pipe everything stands whole. Rows that are `dim` are old."""
    cells = [[clean(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = fit(headers, cells, _width())
    lines = [GAP.join(filled(headers[i], width) for i, width in widths.items()).rstrip()]
    for row, old in zip(cells, dim or [False] * len(cells), strict=True):
        shown = {i: filled(row[i], width, headers[i]) for i, width in widths.items()}
        if state_column in shown and use_colour() and not old:
            shown[state_column] = click.style(shown[state_column], fg=STATE_COLOURS.get(row[state_column]))
        line = GAP.join(shown.values()).rstrip()
        lines.append(click.style(line, dim=True) if old and use_colour() else line)
    return "\n".join(lines)


def _width() -> int:
    # Cut lines would spoil a pipe: only a terminal has a width, and not every one tells it.
    return (os.get_terminal_size().columns if sys.stdout.isatty() else 0) or sys.maxsize


def size(count: int | None) -> str:
    """Bytes as `12.3 GiB`."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def duration(seconds: float | None) -> str:
    """Seconds as `42s`, `3m10s`, `5h02m`, `3d04h`."""
    if seconds is None:
        return "-"
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def ago(moment: float | None) -> str:
    return "never" if moment is None else f"{duration(time.time() - moment)} ago"


def iso(moment: float | None) -> str | None:
    return None if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
