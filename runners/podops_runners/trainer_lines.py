"""Lines of trainers that have a form of their own: nanoGPT's, and the dicts of Hugging Face's Trainer."""

import re

from podops_runners.loss_lines import NUMBER
from podops_runners.typed import Any, Dict, Optional

_NANOGPT_ITER = re.compile(r"^iter (\d+): loss ({0})(?:, time ({0})ms)?(?:, mfu ({0})%)?".format(NUMBER), re.I)
_NANOGPT_EVAL = re.compile(r"^step (\d+): train loss ({0}), val loss ({0})".format(NUMBER), re.I)

#: What LLaMA-Factory's logger writes before such a dict ends so.
_LOGGED = ">> {'"


def read_trainer(line: str) -> Optional[Dict[str, Any]]:
    """The metrics of such a line, with their step where it tells that."""
    # A run may print so much that patterns would be most of the work.
    if line[0] in "iIsS":
        return _nanogpt(line)
    if line[-1] != "}":
        return None
    if line[0] == "{":
        return _hugging_face(line)
    return _hugging_face(line[line.index(_LOGGED) + 3 :]) if _LOGGED in line else None


def number_of(text: Optional[str]) -> Optional[float]:
    """A float, infinities and NaN included; `None` for what is not one."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _nanogpt(line: str) -> Optional[Dict[str, Any]]:
    match = _NANOGPT_ITER.match(line)
    if match:
        values: Dict[str, Any] = {"step": int(match.group(1)), "loss": number_of(match.group(2))}
        if match.group(3):
            values["time_ms"] = number_of(match.group(3))
        if match.group(4):
            values["mfu_percent"] = number_of(match.group(4))
        return values
    match = _NANOGPT_EVAL.match(line)
    if match:
        return {
            "step": int(match.group(1)),
            "train_loss": number_of(match.group(2)),
            "val_loss": number_of(match.group(3)),
        }
    return None


def _hugging_face(line: str) -> Optional[Dict[str, Any]]:
    # The Trainer prints a Python dict, since version 5 with its numbers as strings.
    if not (line.startswith("{'") and line.endswith("}")):
        return None
    import ast  # here, because few runs print such lines, and all would wait for it

    try:
        printed = ast.literal_eval(line)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    values: Dict[str, Any] = {}
    for name, value in printed.items() if isinstance(printed, dict) else ():
        number = number_of(str(value)) if isinstance(value, (int, float, str)) else None
        if isinstance(name, str) and number is not None:
            values[name] = int(number) if name == "step" else number
    return values or None
