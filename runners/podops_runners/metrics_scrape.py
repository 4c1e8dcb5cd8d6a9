"""Metrics found in what a run prints: nanoGPT, Hugging Face, Lightning and tqdm, lines of a loop somebody wrote, and a
pattern of the preset."""

import re

from podops_runners.bars import find_bar, read_bar
from podops_runners.column_bars import ColumnBars
from podops_runners.loss_lines import names_loss, read
from podops_runners.progress import Progress
from podops_runners.trainer_lines import number_of, read_trainer
from podops_runners.typed import Any, Dict, List, Match, Optional, Pattern, Tuple
from podops_runners.validation import as_validation, named_in

#: A longer line is cut before it is searched; metrics stand in short lines.
MAX_LINE = 4096

#: How lines begin that tell a step, also without a loss.
_STEPS = frozenset(("step", "Step", "epoc", "Epoc", "glob"))
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Scraper:
    """Takes raw output in pieces cut anywhere; gives the metrics of each complete line.

    Its `progress` is told of every step. A progress bar redrawn with carriage returns makes no metric of its own unless
    it carries values.
    """

    def __init__(self, pattern: Optional[str] = None, planned_epochs: Optional[int] = None) -> None:
        self._pattern: Optional[Pattern[str]] = re.compile(pattern) if pattern else None
        self._rest = b""
        self._lossy = False
        self._work = Progress(planned_epochs)
        self._checks = Progress()
        # Whether a training has told values, and whether a validation is all the work that there is.
        self._trains = self._only_checks = False
        # The length of the last bar that has no name, as that of a training often has none, or that name.
        self._nameless = 0
        # The length of the bar at whose steps metrics without one were told.
        self._metered: Optional[int] = None
        self._columns = ColumnBars()
        # The last epoch, where these are counted for lack of steps.
        self._epoch = self._first_epoch = None  # type: Optional[int]
        self.wandb_url = ""
        self.last_line = ""

    @property
    def progress(self) -> Progress:
        """That of the training; that of a validation where there is nothing else."""
        return self._checks if self._only_checks else self._work

    def feed(self, data: bytes) -> List[Dict[str, Any]]:
        data = self._rest + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._rest = data[end : end + MAX_LINE]
        found = []
        text = data[:end].decode("utf-8", "replace").replace("\r", "\n").replace("\b", "")
        self._lossy = names_loss(text)
        for line in text.split("\n"):
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
        metrics = (self._own(line) if self._pattern else None) or read_trainer(line)
        if metrics is None:
            bar = find_bar(line) if "<" in line or "━" in line else None
            if bar is not None:
                return self._bar(line, bar)
            # No pattern and no call: of most lines this is all the work.
            return self._loop(line) if line[:4] in _STEPS or (self._lossy and names_loss(line)) else None
        self._trains = True
        if isinstance(metrics.get("step"), int):
            self._only_checks = False
            self._work.see(metrics["step"])
            return metrics
        step = self._step_of_bar()
        return metrics if step is None else dict(metrics, step=step)

    def _step_of_bar(self) -> Optional[int]:
        """The step of metrics that are told without one, below a bar that counts those of the whole run."""
        if self._work.is_busy:
            self._metered = self._work.total
        is_it = self._work.is_busy or (self._metered is not None and self._metered == self._work.total)
        return self._work.step if is_it and not self._work.is_part else None

    def _own(self, line: str) -> Optional[Dict[str, Any]]:
        match = self._pattern.search(line) if self._pattern else None
        if match is None:
            return None
        values: Dict[str, Any] = {}
        for name, text in match.groupdict().items():
            number = number_of(text)
            if number is not None:
                values[name] = int(number) if name == "step" else number
        return values or None

    def _loop(self, line: str) -> Optional[Dict[str, Any]]:
        told = None if self._columns.see(line) else read(line)
        if told is None:
            return None
        values: Dict[str, Any] = told.values
        step, steps = told.counts.get("step", (None, None))
        epoch, epochs = told.counts.get("epoch", (None, None))
        if told.validates:
            own = (epoch, epochs) if step is None else (step, steps)
            return self._validation(values, own, epoch, step is not None)
        if epoch is not None and (step is not None or not values):
            # Else it may be told of what has ended.
            self._work.see_epoch(epoch, epochs)
        if not values:
            return None
        self._trains, self._only_checks = True, False
        if step is not None:
            self._work.see(step, steps, epoch is not None)
        elif self._work.step != self._epoch:
            # Something else tells the steps.
            step = None if self._work.is_part else self._work.step
        elif epoch is not None:
            self._epoch, self._first_epoch = epoch, epoch if self._first_epoch is None else self._first_epoch
            self._work.see(epoch, epochs or (self._work.planned(epoch, 1) if self._first_epoch == 1 else None))
        if epoch is not None:
            values["epoch"] = epoch
        return values if step is None else self._at(step, values)

    def _at(self, step: int, values: Dict[str, Any]) -> Dict[str, Any]:
        """With its step, and with the epoch that lines before have told."""
        if self._work.epochs is not None:
            values.setdefault("epoch", self._work.epoch)
        return dict(values, step=step)

    def _bar(self, line: str, match: "Match[str]") -> Dict[str, Any]:
        step, total = int(match.group(1)), int(match.group(2))
        said = line[: match.start()]
        values, epoch, epochs = read_bar(self._columns, said, line[match.end() :])
        which = named_in(said)
        if which:
            return self._validation(as_validation(values, which), (step, total), epoch, True)
        if self._only_checks and not values and epoch is None and self._checks.is_within(total):
            return {}
        self._trains, self._only_checks = self._trains or bool(values), False
        self._nameless = total if said[:1] not in _LETTERS or said[:5].lower() == "train" else 0
        if epoch is not None:
            self._work.see_epoch(epoch, epochs)
        self._work.see(step, total, epoch is not None, bool(values))
        if values and epoch is not None:
            values["epoch"] = epoch
        # The bar of a validation stands where the training does.
        whose = step if self._work.total == total else self._work.step
        return self._at(step if whose is None else whose, values) if values else {}

    def _validation(
        self, values: Dict[str, Any], own: Tuple[Optional[int], Optional[int]], epoch: Optional[int], in_epoch: bool
    ) -> Dict[str, Any]:
        """At the step of the training, which it does not move. Its `own` steps count where there is no training."""
        self._work.see_beside()
        step, steps = own
        trains = self._trains or self._work.is_busy or (steps is not None and steps < self._nameless)
        self._only_checks = self._only_checks or not trains
        if step is not None:
            self._checks.see(step, steps, in_epoch and epoch is not None, bool(values))
        if not values:
            return {}
        if epoch is not None:
            values["epoch"] = epoch
        if self._work.step is not None and not self._only_checks:
            step = max(step or 0, self._work.step) if steps is None else self._work.step
        return values if step is None else self._at(step, values)

    def _wandb(self, line: str) -> None:
        match = re.search(r"View run (?:.* )?at:? (https?://\S+/runs/\S+)", line)
        if match:
            self.wandb_url = match.group(1)
