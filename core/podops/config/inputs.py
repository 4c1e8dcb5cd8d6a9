"""What an input of a provider may be."""

from __future__ import annotations

import math
import re
from typing import Any

from podops.config.model import InputConfig

InputValue = str | int | float | bool | None

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_MOST = 1000


def checked(config: InputConfig, value: Any) -> InputValue:
    """`value`, as typed or as it stands in a file, in its type. Raises `ValueError` that says what would be right."""
    if config.type == "bool":
        return _flag(value)
    if config.type in ("int", "float"):
        return _number(config, value)
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise ValueError("must be text")
    text = str(value)
    if config.type == "choice" and text not in config.choices:
        raise ValueError(f"is {text[:80]!r}; it must be one of {', '.join(config.choices)}")
    if len(text) > _MOST or not text.isprintable():
        raise ValueError(f"must be one line of at most {_MOST} characters")
    if text.startswith("-"):
        raise ValueError(f"is {text[:40]!r}, which a command would take for an option")
    return text


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(f"is {str(value)[:40]!r}; it must be true or false")
    return word in _TRUE


def _number(config: InputConfig, value: Any) -> int | float:
    whole = config.type == "int"
    what = "a whole number" if whole else "a number"
    if isinstance(value, bool):
        raise ValueError(f"must be {what}")
    try:
        number = int(str(value)) if whole and re.fullmatch(r"[+-]?\d+", str(value)) else float(value)
    except (TypeError, ValueError):
        raise ValueError(f"is {str(value)[:40]!r}; it must be {what}") from None
    if (whole and not isinstance(number, int)) or not math.isfinite(number):
        raise ValueError(f"is {str(value)[:40]!r}; it must be {what}")
    low, high = config.low, config.high
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"{low:g} or more" if high is None else f"{high:g} or less" if low is None else f"{low:g} to {high:g}"
        raise ValueError(f"is {number:g}; it must be {bounds}")
    return number
