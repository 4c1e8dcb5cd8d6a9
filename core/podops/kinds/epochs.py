"""How many epochs a run will have, where its command says so: `--epochs 3`, `trainer.max_epochs=3`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

#: `--num-train-epochs 3`, `--max_epochs=3`, and without dashes `+trainer.max_epochs=3`; not `--warmup-epochs 3`.
_OPTION = re.compile(r"(?:^|(?<=\s))(?:--?(?P<flag>[\w.-]+)(?:=|\s+)|\+{0,2}(?P<key>[\w.]+)=)(?=(?P<value>\S+))")
_VALUE = re.compile(r"(['\"]?)(\d{1,7})(?:\.0)?\1")
_NAME = re.compile(r"(?:[\w-]+\.)*(?:(?:num|max|total|n)_?)?(?:train_)?epochs?")

#: Who starts a program more than once counts its epochs more than once.
_LOOPS = re.compile(r"(?:^|[\s;&|(])(?:for|while|until|xargs|parallel)\s")


def epochs_in(parts: Iterable[Any]) -> int | None:
    """Of a command in the form of docs/protocol.md; `None` where it does not say, or says it more than once."""
    command = "".join(part if isinstance(part, str) else "\0" for part in parts)
    if "epoch" not in command or _LOOPS.search(command):
        return None
    options = ((found["flag"] or found["key"], found["value"]) for found in _OPTION.finditer(command))
    said = [value for name, value in options if _NAME.fullmatch(name.replace("-", "_"))]
    number = _VALUE.fullmatch(said[0]) if len(said) == 1 else None
    return (int(number[2]) or None) if number else None
