"""The colour state that one line of a log leaves for the next."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")

#: Attributes and the codes that end them.
_ENDS = {"22": ("1", "2"), "23": ("3",), "24": ("4", "21"), "25": ("5", "6"), "27": ("7",), "28": ("8",), "29": ("9",)}


def sgr_after(state: str, text: str) -> str:
    """The SGR parameters in effect after `text` when `state` was before it; empty when nothing is."""
    if "\x1b[" not in text:
        return state
    slots = _slots({}, state)
    for match in _SGR.finditer(text):
        slots = _slots(slots, match.group(1).replace(":", ";"), reset_if_empty=True)
    return ";".join(slots.values())


def _slots(slots: dict[str, str], parameters: str, *, reset_if_empty: bool = False) -> dict[str, str]:
    """What is in effect, by what a later code replaces: foreground, background, or the attribute itself."""
    if not parameters:
        return {} if reset_if_empty else slots
    codes = iter(parameters.split(";"))
    for code in codes:
        number = int(code) if code.isdecimal() and len(code) < 4 else 0
        if number == 0:
            slots = {}
        elif number in (38, 48):
            slots["fg" if number == 38 else "bg"] = _extended(code, codes)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            slots["fg"] = code
        elif 40 <= number <= 47 or 100 <= number <= 107:
            slots["bg"] = code
        elif number in (39, 49):
            slots.pop("fg" if number == 39 else "bg", None)
        elif code in _ENDS:
            for ended in _ENDS[code]:
                slots.pop(ended, None)
        elif number <= 9 or number == 21:
            slots[code] = code
    return slots


def _extended(code: str, codes: Iterator[str]) -> str:
    """`38;5;n` or `38;2;r;g;b`; what is missing is 0."""
    kind = next(codes, "")
    count = {"5": 1, "2": 3}.get(kind, 0)
    values = [next(codes, "0") or "0" for _ in range(count)]
    return ";".join([code, kind or "5", *values] if count else [code, "5", "7"])
