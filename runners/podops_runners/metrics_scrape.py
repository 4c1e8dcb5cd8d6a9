"""Metrics found in what a run prints: nanoGPT, Hugging Face, Lightning and tqdm, lines of a loop somebody wrote
(`step=10 loss=3.2`), and a pattern of the preset."""

import math
import re
from typing import Any, Dict, List, Optional, Pattern

from podops_runners.progress import Progress

#: A longer line is cut before it is searched; metrics stand in short lines.
MAX_LINE = 4096

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_NANOGPT_ITER = re.compile(r"^iter (\d+): loss ({0})(?:, time ({0})ms)?(?:, mfu ({0})%)?".format(_NUMBER), re.I)
_NANOGPT_EVAL = re.compile(r"^step (\d+): train loss ({0}), val loss ({0})".format(_NUMBER), re.I)
_PROGRESS = re.compile(r"(\d+)/(\d+) \[(?:\d+:)?\d+:\d+<")
#: `Epoch 3: 40%|…`, `[epoch 3/10] …`: before a bar, or before a step, it says that these are the steps of that epoch.
_EPOCH = re.compile(r"epoch[ =:#\[]*\d+(?![\d%])", re.I)
_PROGRESS_VALUE = re.compile(r"([A-Za-z_][\w/]*)=({0})(?=[,\s\]]|$)".format(_NUMBER))
#: `step=10 loss=3.2`, `Step 10/500 | loss: 3.2, lr: 1e-4`, `epoch 2 step 10 loss 3.2`.
_LOOP = re.compile(r"(?:epoch[ =:]+\d+(?:/\d+)?[\s,;|]+)?(?:global_)?step[ =:]+(\d+)(?:/(\d+))?(?=[\s,;:|])", re.I)
_LOOP_VALUE = re.compile(r"(?<![\w/])(?:([A-Za-z_][\w/]*)\s*[=:]\s*|(loss)\s+)({0})(?=[,;|\s]|$)".format(_NUMBER))
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Scraper:
    """Takes raw output in pieces cut anywhere; gives the metrics of each complete line.

    Its `progress` is told of every step; a progress bar redrawn with carriage returns makes no metric of its own unless
    it carries values.
    """

    def __init__(self, pattern: Optional[str] = None) -> None:
        self._pattern: Optional[Pattern[str]] = re.compile(pattern) if pattern else None
        self._rest = b""
        self.progress = Progress()
        self.wandb_url = ""
        self.last_line = ""

    def feed(self, data: bytes) -> List[Dict[str, Any]]:
        data = self._rest + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._rest = data[end : end + MAX_LINE]
        found = []
        for line in data[:end].decode("utf-8", "replace").replace("\r", "\n").split("\n"):
            short = line[:MAX_LINE]
            metrics = self._line((_ANSI.sub("", short) if "\x1b" in short else short).strip())
            if metrics:
                found.append(metrics)
        return found

    def forget_line(self) -> None:
        """The rest of the line begun last will not come."""
        self._rest = b""

    def _line(self, line: str) -> Optional[Dict[str, Any]]:
        if not line:
            return None
        self.last_line = line
        if "wandb" in line:
            self._wandb(line)
        metrics = self._own(line) or _nanogpt(line) or _hugging_face(line)
        if metrics is None:
            return self._loop(line) or self._progress(line)
        if isinstance(metrics.get("step"), int):
            self.progress.see(metrics["step"])
        return metrics

    def _own(self, line: str) -> Optional[Dict[str, Any]]:
        match = self._pattern.search(line) if self._pattern else None
        if match is None:
            return None
        values: Dict[str, Any] = {}
        for name, text in match.groupdict().items():
            number = _number(text)
            if number is not None:
                values[name] = int(number) if name == "step" else number
        return values or None

    def _loop(self, line: str) -> Optional[Dict[str, Any]]:
        match = _LOOP.match(line) if line[0] in "eEgGsS" else None
        if match is None:
            return None
        values: Dict[str, Any] = {}
        for name, loss, text in _LOOP_VALUE.findall(line[match.end() :]):
            number = _number(text)
            if number is not None:
                values[name or loss] = number
        if not values:
            return None
        step, total = int(match.group(1)), match.group(2)
        self.progress.see(step, int(total) if total else None, bool(_EPOCH.match(line)))
        return dict(values, step=step)

    def _progress(self, line: str) -> Optional[Dict[str, Any]]:
        match = _PROGRESS.search(line) if "<" in line else None
        if match is None:
            return None
        step, total = int(match.group(1)), int(match.group(2))
        self.progress.see(step, total, bool(_EPOCH.search(line, 0, match.start())))
        values: Dict[str, Any] = {}
        for name, text in _PROGRESS_VALUE.findall(line[match.end() :]):
            number = _number(text)
            if number is not None:
                values[name] = number
        return dict(values, step=step) if values else None

    def _wandb(self, line: str) -> None:
        match = re.search(r"View run (?:.* )?at:? (https?://\S+/runs/\S+)", line)
        if match:
            self.wandb_url = match.group(1)


def _nanogpt(line: str) -> Optional[Dict[str, Any]]:
    if line[0] not in "iIsS":
        return None  # a run may print so much that patterns would be most of the work
    match = _NANOGPT_ITER.match(line)
    if match:
        values: Dict[str, Any] = {"step": int(match.group(1)), "loss": _number(match.group(2))}
        if match.group(3):
            values["time_ms"] = _number(match.group(3))
        if match.group(4):
            values["mfu_percent"] = _number(match.group(4))
        return values
    match = _NANOGPT_EVAL.match(line)
    if match:
        return {
            "step": int(match.group(1)),
            "train_loss": _number(match.group(2)),
            "val_loss": _number(match.group(3)),
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
        number = _number(str(value)) if isinstance(value, (int, float, str)) else None
        if isinstance(name, str) and number is not None:
            values[name] = int(number) if name == "step" else number
    return values or None


def _number(text: Optional[str]) -> Optional[float]:
    """A float, infinities and NaN included; `None` for what is not one."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def json_safe(metrics: Dict[str, Any]) -> Dict[str, Any]:
    """NaN and infinities as strings: JSON has none, and a reader must not choke on them."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in metrics.items()
    }
