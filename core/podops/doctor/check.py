"""One thing that was looked at, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """`subject` is `this machine` or `pod NAME`; `what` names the thing looked at; `hint` is the cure of a fault."""

    level: Level
    subject: str
    what: str
    message: str
    hint: str = ""
    #: Names what `ops doctor --fix` can do about it.
    fix: str = ""
