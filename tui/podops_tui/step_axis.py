"""Where on an axis that goes on each record of a run's metrics lies: steps often begin again with every epoch."""

from __future__ import annotations

#: More epochs than this are not told apart: a pod is not trusted.
_MOST_EPOCHS = 8192

#: Steps that fall back to so much of the highest have begun again; further up, a run went on from a checkpoint.
_BEGINNING = 0.1


class StepAxis:
    """Takes each record's step and epoch, in the order in which they were written."""

    def __init__(self) -> None:
        #: What the axis is: said of a curve after `by`.
        self.words = "step"
        #: Where the last record lies; `None` before the first that tells a step.
        self.x: float | None = None
        self._step = self._first = self._highest = 0.0
        # The x at which the steps that are told now count from 0; the same for each epoch; the highest x.
        self._start = self._top = 0.0
        self._starts: dict[float, float] = {}
        self._last_epoch = -1.0

    def place(self, step: float, epoch: float | None) -> float:
        """The x of a record; smaller than one before only where the run went on from a checkpoint."""
        if self.x is not None:
            self._move(step, epoch if epoch is not None and epoch.is_integer() else None)
        else:
            self._first = self._highest = step
            if epoch is not None and epoch.is_integer():
                self._starts[epoch], self._last_epoch = 0.0, epoch
        self._step, self._highest = step, max(self._highest, step)
        self.x = self._start + step
        self._top = max(self._top, self.x)
        return self.x

    def _move(self, step: float, epoch: float | None) -> None:
        fell = step < self._step
        if epoch is None:
            if fell and step <= max(self._first, _BEGINNING * self._highest):
                self._go_on(step, "step, counted on where it begins again")
            return
        known = self._starts.get(epoch)
        if known is not None:
            self._start = known
            return
        if fell and epoch > self._last_epoch:
            self._go_on(step, "step, counted on from epoch to epoch")
        self._last_epoch = max(self._last_epoch, epoch)
        if len(self._starts) < _MOST_EPOCHS:
            self._starts[epoch] = self._start

    def _go_on(self, step: float, words: str) -> None:
        self._start, self._first, self._highest = self._top, step, step
        self.words = words
