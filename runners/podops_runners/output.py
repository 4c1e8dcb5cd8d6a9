"""A run's output as its supervisor sees it: shown in the pane, searched for metrics, indexed, its age known."""

import math
import os
import time

from podops_runners import records
from podops_runners.log_reader import LogReader
from podops_runners.metric_value import json_safe
from podops_runners.metrics_scrape import Scraper
from podops_runners.pane import Pane
from podops_runners.rundir import RunDir
from podops_runners.told_before import ToldBefore, last_indexed
from podops_runners.typed import Any, Callable, Dict, List, Optional

#: How long the log is read before everything else is looked at again, and once it is complete, seconds of processor
#: time: what a run that prints as fast as it can must share with us.
_READ_S, _LAST_READ_S = 0.01, 5.0

#: The same once the run has printed more than can be read at all: only samples of its output are seen then.
_OUTRUN_READ_S = 0.004

#: The same by the clock, for a disk or a machine that is slow.
_SLOW_S = 0.1

#: A look at the checkpoints lists directories, so it is made this often, seconds.
_CHECKPOINT_LOOK_S = 5.0

#: What counts as the loss for a run that goes wrong numerically.
_LOSSES = ("loss", "train_loss")


class Output:
    """Reads what was added to `stdout.log` at each `read`. `keep` does a write of ours and bears its failure."""

    def __init__(
        self,
        run: RunDir,
        spec: Dict[str, Any],
        start: int,
        keep: Callable[[Callable[[], object]], bool],
        beat: Optional[Dict[str, str]] = None,
    ) -> None:
        """`start` is where the attempt's output begins; `beat` is the last of another supervisor, which read some."""
        self._run = run
        self._keep = keep
        self._pane = Pane(1)
        derived = spec.get("derived") or {}
        steps, epochs = derived.get("total_steps"), derived.get("total_epochs")
        self._planned_steps = steps if isinstance(steps, int) else None
        self._scraper = Scraper(spec.get("metrics_pattern"), epochs if isinstance(epochs, int) else None)
        self._metrics_size = _size(run.metrics)
        # Lines of ours in the metrics file end here; 0: none yet. A longer file is the run's own.
        self._own_metrics = self._metrics_size if os.path.exists(run.scraped) else 0
        self._next_index = 0.0
        self._next_checkpoint_look = 0.0
        self._checkpoint_mark = 0.0
        self._before = ToldBefore()
        if beat is not None:
            since, read = last_indexed(run.stdout_index, run.stdout_log)
            start, self._before = max(start, read), ToldBefore(run.metrics, since)
            self._scraper.progress.go_on(beat)
        self._indexed = start
        self._log = LogReader(run.stdout_log, start)
        #: Monotonic time of the last sign of life: output, a metric, a checkpoint.
        self.active_at = time.monotonic()
        self.last_metrics: Dict[str, Any] = self._before.last
        #: The first loss that was not a finite number, as a line for a person.
        self.nan_loss = ""

    @property
    def total(self) -> Any:
        return self._scraper.progress.total or self._planned_steps

    @property
    def total_is_part(self) -> bool:
        return self._scraper.progress.is_part

    @property
    def steps(self) -> Dict[str, Any]:
        """How far the run is, as a heartbeat has it; `part`: `total` is that of a part of it only, of an epoch, say."""
        progress = self._scraper.progress
        return {
            "step": progress.step,
            "total": self.total,
            "part": 1 if progress.is_part else None,
            "epoch": progress.epoch_from_1 if progress.epochs else None,
            "epochs": progress.epochs,
            "epoch_from": 0 if progress.epochs and progress.from_0 else None,
        }

    @property
    def left_s(self) -> Optional[float]:
        """Seconds to the run's last step at its pace; `None` where that cannot be told."""
        return self._scraper.progress.left_s(time.monotonic(), self._planned_steps)

    @property
    def wandb_url(self) -> str:
        return self._scraper.wandb_url

    @property
    def scraped(self) -> bool:
        """Whether the metrics file holds what was found here, and nothing that the run has written itself."""
        return _size(self._run.metrics) == self._own_metrics

    @property
    def offset(self) -> int:
        """Everything before it has been read, bytes."""
        return self._log.offset

    def read(self, within_s: float = 1.0) -> None:
        """Bring pane, metrics and index towards the end of the log, as far as that goes in a moment."""
        self._read(min(_OUTRUN_READ_S if self._log.outrun else _READ_S, within_s))
        self._look_elsewhere()
        now = time.monotonic()
        if self.offset != self._indexed and now >= self._next_index:
            self._next_index = now + 1.0
            self._keep(self._index)

    def keep_up(self, behind: int) -> None:
        """Leave out what cannot be read for now, if that is more than `behind` bytes."""
        if _size(self._run.stdout_log) - self.offset > behind:
            self._log.jump()

    def read_to_end(self) -> None:
        """The run has ended: read what is left, of very much only the end."""
        self._read(_LAST_READ_S)
        self._log.jump()
        self._read(_LAST_READ_S)
        if self.offset != self._indexed:
            self._keep(self._index)

    def _read(self, seconds: float) -> None:
        begun, begun_cpu = time.monotonic(), time.process_time()
        while time.process_time() - begun_cpu < seconds and time.monotonic() - begun < max(_SLOW_S, seconds):
            data, jumped = self._log.next()
            if not data:
                # Here alone: behind the run, steps come as fast as they are read.
                self._scraper.progress.look(time.monotonic())
                return
            if jumped:
                self._scraper.forget_line()
                self._before.forget()
            self.active_at = time.monotonic()
            self._pane.show(data)
            self._take(self._scraper.feed(data))

    def _index(self) -> None:
        with open(self._run.stdout_index, "a") as stream:
            stream.write("{:.3f} {}\n".format(time.time(), self.offset))
        self._indexed = self.offset

    def _take(self, found: List[Dict[str, Any]]) -> None:
        lines, now = [], round(time.time(), 3)
        for metrics in found:
            safe = json_safe(metrics)
            safe.pop("time", None)  # a record has its own
            self.last_metrics.update(safe)
            self._look_at_loss(metrics)
            if not self._before.has(safe):
                lines.append(dict({"step": metrics.get("step"), "time": now}, **safe))
        # A run that writes the file itself is the better source; two sources would tell each value twice.
        if not lines or not self.scraped:
            return
        if not self._own_metrics:
            self._keep(lambda: records.write_bytes(self._run.scraped, b"", durable=False))
        self._keep(lambda: records.append_lines(self._run.metrics, lines))
        self._own_metrics = self._metrics_size = _size(self._run.metrics)

    def _look_at_loss(self, metrics: Dict[str, Any]) -> None:
        for name in _LOSSES:
            value = metrics.get(name)
            if not self.nan_loss and isinstance(value, float) and not math.isfinite(value):
                self.nan_loss = "{} is {} at step {}".format(name, value, metrics.get("step", "?"))

    def _look_elsewhere(self) -> None:
        now = time.monotonic()
        if now < self._next_checkpoint_look:
            return
        self._next_checkpoint_look = now + _CHECKPOINT_LOOK_S
        size, mark = _size(self._run.metrics), _newest(self._run.checkpoints)
        if size != self._metrics_size or mark != self._checkpoint_mark:
            self.active_at = now
        self._metrics_size, self._checkpoint_mark = size, mark


def _newest(directory: str) -> float:
    """The newest modification time in a directory and in the directories right below it; 0 for none."""
    newest = 0.0
    pending = [(directory, 0)]
    while pending:
        path, depth = pending.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
                    if depth == 0 and entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, 1))
        except OSError:
            continue
    return newest


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
