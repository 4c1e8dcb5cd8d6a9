"""How far a run has come by the steps it prints, and when its last one will be, as far as that can be told.

What a run prints is often the progress of a part of it: the bar of an epoch, of an evaluation, of loading a model.
"""

from podops_runners.typed import Dict, Optional, Set, Tuple

#: Bars of more lengths than this are not told apart, so that a run cannot fill our memory.
_MOST_BARS = 64


class EpochLength:
    """How many steps an epoch has, from those of one that was seen from its first step to its last."""

    def __init__(self) -> None:
        self._known: Optional[int] = None
        self._epoch, self._first, self._last, self._stride = -1, 0, 0, 0

    def see(self, step: int, epoch: int) -> Optional[int]:
        """What is known of it after a step of `epoch`."""
        if epoch != self._epoch:
            if epoch == self._epoch + 1 and step < self._last and self._stride:
                # Told each 10th step, from 0 or from 10 on; of others nobody knows how many follow the last.
                ends = {0: self._last + self._stride, self._stride: self._last}
                self._known = ends.get(self._first)
            self._epoch, self._first, self._last, self._stride = epoch, step, step, 0
        elif step > self._last:
            self._stride, self._last = step - self._last, step
        return self._known


class Progress:
    """Takes every step in the order in which it was printed, and at times (`look`) the time."""

    def __init__(self, planned_epochs: Optional[int] = None) -> None:
        """`planned_epochs` count where the run itself does not tell of how many."""
        #: The last step, and of how many, where the run says so.
        self.step: Optional[int] = None
        self.total: Optional[int] = None
        #: Whether `total` is that of a part of the run only.
        self.is_part = False
        #: The epoch it is in, as it counts them, and of how many, where that is known.
        self.epoch: Optional[int] = None
        self.epochs: Optional[int] = None
        #: Whether epochs count from 0.
        self.from_0 = False
        self._planned, self._first_epoch = planned_epochs, None  # type: Optional[int], Optional[int]
        self._length = EpochLength()
        # Whether an epoch begins with the next step, whether steps count through all of them.
        self._begins = self._through = False
        # Where in its epochs it was when that was first known, and when.
        self._from: Optional[Tuple[float, float]] = None
        # The last step of each bar, by how many steps it has, and how often each was drawn; which have begun again.
        self._reached: Dict[int, int] = {}
        self._drawn: Dict[int, int] = {}
        self._again: Set[int] = set()
        # Bars that tell values: those of the work itself.
        self._telling: Set[int] = set()
        # Counts what was begun anew, and which of it `look` has seen, where and when.
        self._bar = 0
        self._seen_bar, self._seen_step, self._seen_at = -1, 0, 0.0

    def go_on(self, told: Dict[str, str]) -> None:
        """Take over from whoever told these in a heartbeat; their step was that of a line which may be read again."""
        known = {name: int(value) for name, value in told.items() if value.isdecimal() and len(value) < 16}
        self.total, self.epoch, self.epochs = known.get("total"), known.get("epoch"), known.get("epochs")
        if self.epoch is not None:
            self.from_0 = known.get("epoch_from") == 0
            self._first_epoch = 0 if self.from_0 else 1
            self.epoch -= 1 - self._first_epoch
        self.is_part = known.get("part") == 1
        if self.total is not None and self.is_part:
            self._again.add(self.total)
        self._through = self.total is not None and self.epochs is not None and not self.is_part

    def see_epoch(self, epoch: int, epochs: Optional[int]) -> None:
        """The steps that follow are those of this epoch. Where they count from 0, nobody knows whether to the last."""
        self.from_0 = self.from_0 or epoch == 0
        self._first_epoch = epoch if self._first_epoch is None else self._first_epoch
        self._begins = self._begins or (self.epoch is not None and epoch > self.epoch)
        self.epoch = epoch
        if epochs is not None:
            self.epochs = epochs if epoch <= epochs and not self.from_0 else None
        if self.epochs is None or self._epochs_begun >= self.epochs:
            self.epochs = self.planned(epoch, self._first_epoch)

    def planned(self, epoch: int, first: int) -> Optional[int]:
        """How many epochs were planned, where that can be so: of later ones nobody knows whether they count from 0."""
        if self._planned is None or first > 1 or epoch - min(first, 1) >= self._planned:
            return None
        return self._planned

    @property
    def epoch_from_1(self) -> Optional[int]:
        return None if self.epoch is None else self.epoch + (1 if self.from_0 else 0)

    @property
    def _epochs_begun(self) -> int:
        """How many had ended when this one began."""
        return (self.epoch_from_1 or 1) - 1

    def see(self, step: int, total: Optional[int] = None, of_part: bool = False, tells: bool = False) -> None:
        """A step was printed, maybe as one of `total`.

        `of_part`: with the word that these are those of a part; `tells`: with values.
        """
        if total is not None and self._is_beside(total):
            return
        if total is None:
            total, of_part = self._by_epochs(step), True
        if self._begins and self.step is not None:
            self._through, self._begins = step > self.step and total == self.total, False
            self.is_part = self.is_part and not self._through
        of_part = (of_part or self.epochs is not None) and not self._through
        other = total is not None and total != self.total
        if other or (self.step is not None and step < self.step):
            self._bar += 1
        if total is not None:
            self._take_bar(step, total, of_part, tells)
        elif self.total is not None and step > self.total:
            self.total, self.is_part = None, False  # steps of another count
        self.step = step

    def _take_bar(self, step: int, total: int, of_part: bool, tells: bool) -> None:
        within = self._is_within(total)
        if len(self._reached) >= _MOST_BARS:
            self._reached.clear()
            self._telling.clear()
        if step < self._reached.get(total, 0):
            self._again.add(total)
        if tells:
            self._telling.add(total)
        self._reached[total] = step
        self.is_part = of_part or within or total in self._again
        self.total = total

    def _is_beside(self, total: int) -> bool:
        """Whether this bar is that of something shorter done in between or at the end: of a validation, say."""
        if len(self._drawn) >= _MOST_BARS:
            self._drawn.clear()
        drawn = self._drawn[total] = self._drawn.get(total, 0) + 1
        if self.total is None or total >= self.total or drawn > self._drawn.get(self.total, 0):
            return False
        return self._reached.get(self.total, self.total) < self.total or self.see_beside()

    @property
    def is_busy(self) -> bool:
        """Whether this is the work of the run and goes on, and no bar that is over, of loading a model, say."""
        if self.total is None:
            return self.step is not None
        return self.is_within(self.total) or self.is_part or self.epoch is not None

    def is_within(self, total: int) -> bool:
        """Whether its bar is not at its end, and one of so many steps is no longer one."""
        return self.total is not None and total <= self.total and self._reached.get(self.total, self.total) < self.total

    def see_beside(self) -> bool:
        """Something else is done in between, a validation. Whether the run goes on after it, its own bar at its end."""
        if self.total is None or self._reached.get(self.total, self.total) < self.total:
            return False
        self.is_part = self.is_part or self.total in self._again or self.total in self._telling
        return self.is_part

    def _by_epochs(self, step: int) -> Optional[int]:
        """How many steps an epoch has, where only the epochs are told and one has been seen whole."""
        if self.epochs is None or self.epoch is None:
            return None
        length = self._length.see(step, self.epoch)
        return length if length is not None and step <= length else None

    def _is_within(self, total: int) -> bool:
        """Whether this bar stands within another, which had not come to its end when this one began."""
        if total == self.total:
            return self.is_part
        return self.total is not None and self._reached.get(self.total, self.total) < self.total

    def look(self, now: float) -> None:
        """All that was printed until `now` (of any clock, seconds) has been seen."""
        if self.step is not None and self._bar != self._seen_bar:
            self._seen_bar, self._seen_step, self._seen_at = self._bar, self.step, now
        if self._from is None:
            done = self._epochs_done()
            self._from = None if done is None else (done, now)

    def _epochs_done(self) -> Optional[float]:
        if not self.is_part or not self.total or self.step is None or self.epochs is None or self.epoch is None:
            return None
        return self._epochs_begun + min(1.0, self.step / self.total)

    def left_s(self, now: float, planned: Optional[int] = None) -> Optional[float]:
        """Seconds to the run's last step at the pace since these steps began; `planned`: how many, if it prints none.

        `None` where that cannot be told.
        """
        total = self.total or planned
        done = self._epochs_done()
        if done is not None and self.epochs is not None and self._from is not None:
            begun, at = self._from
            return (self.epochs - done) * (now - at) / (done - begun) if done > begun else None
        if self.step is None or not total or self.is_part:
            return None
        if self._bar != self._seen_bar or self.step <= self._seen_step:
            return None
        return max(0.0, (total - self.step) * (now - self._seen_at) / (self.step - self._seen_step))
