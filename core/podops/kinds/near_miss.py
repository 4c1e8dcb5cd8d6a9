"""An override that is no argument of its preset but looks like one mistyped.

Any key is taken, because a program has more arguments than its preset names. So what is told as a doubt must hardly
ever be meant: `beta2` beside `beta1` is, and `tp_size` beside `pp_size`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_PARTS = re.compile(r"[_.-]+")

#: Words shorter than this are as near to each other as typing errors are; letters are exchanged in longer ones.
_SHORT, _LONG = 4, 6


def near_miss(key: str, known: Collection[str]) -> str | None:
    """The one of `known` that was probably meant by `key`; `None` when it is among them, or none is."""
    if key in known:
        return None
    return next((name for name in known if _alike(key, name)), None)


def _alike(key: str, name: str) -> bool:
    typed, meant = _PARTS.split(key.lower()), _PARTS.split(name.lower())
    if "".join(typed) == "".join(meant):
        return True
    if len(typed) != len(meant):
        return False
    differing = [pair for pair in zip(typed, meant, strict=True) if pair[0] != pair[1]]
    return len(differing) == 1 and _slip(*differing[0])


def _slip(typed: str, meant: str) -> bool:
    """Whether a letter more, less or other, or two that changed places, make one of the other."""
    if typed[:1] != meant[:1] or min(len(typed), len(meant)) < _SHORT or not (typed.isalpha() and meant.isalpha()):
        return False
    start = next(
        (at for at, (one, other) in enumerate(zip(typed, meant, strict=False)) if one != other),
        min(len(typed), len(meant)),
    )
    rest, wanted = typed[start:], meant[start:]
    if rest[1:] == wanted or rest == wanted[1:]:
        return True
    if rest[2:] == wanted[2:] and rest[:2] == wanted[1::-1]:
        return True
    return rest[1:] == wanted[1:] and len(meant) >= _LONG
