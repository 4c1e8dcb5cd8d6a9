"""Finding a text in the lines of a log, and showing where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from podops_tui.ansi import clean

_FOUND, _CURRENT = "black on yellow", "bold black on bright_green"


def find(lines: Sequence[str], wanted: str, start: int, step: int) -> int | None:
    """The index of the nearest line that holds `wanted`, from `start` on in steps of 1 or -1, going round once.

    Upper and lower case are the same.
    """
    wanted = wanted.lower()
    count = len(lines)
    for distance in range(count):
        index = (start + step * distance) % count
        if wanted in clean(lines[index]).lower():
            return index
    return None


def marked(text: Text, wanted: str, current: bool) -> Text:
    """A copy of `text` with every `wanted` marked."""
    shown = text.copy()
    plain, wanted = text.plain.lower(), wanted.lower()
    at = plain.find(wanted)
    while wanted and at >= 0:
        shown.stylize(_CURRENT if current else _FOUND, at, at + len(wanted))
        at = plain.find(wanted, at + len(wanted))
    return shown
