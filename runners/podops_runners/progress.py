"""How far a run has come by the steps it prints, and when its last one will be, as far as that can be told.

What a run prints is often the progress of a part of it: the bar of an epoch, of an evaluation, of loading a model.
"""

from typing import Dict, Optional, Set

#: Bars of more lengths than this are not told apart, so that a run cannot fill our memory.
_MOST_BARS = 64


class Progress:
    """Takes every step in the order in which it was printed, and at times (`look`) the time."""

    def __init__(self) -> None:
        #: The last step, and of how many, where the run says so.
        self.step: Optional[int] = None
        self.total: Optional[int] = None
        #: Whether `total` is that of a part of the run only.
        self.is_part = False
        # The last step of each bar, by how many steps it has, and which of these have begun again.
        self._reached: Dict[int, int] = {}
        self._again: Set[int] = set()
        # Counts what was begun anew, and which of it `look` has seen, where and when.
        self._bar = 0
        self._seen_bar, self._seen_step, self._seen_at = -1, 0, 0.0

    def see(self, step: int, total: Optional[int] = None, of_part: bool = False) -> None:
        """A step was printed, maybe as one of `total`; `of_part`: with the word that these are those of a part."""
        other = total is not None and total != self.total
        if other or (self.step is not None and step < self.step):
            self._bar += 1
        if total is not None:
            within = self._is_within(total)
            if len(self._reached) >= _MOST_BARS:
                self._reached.clear()
            if step < self._reached.get(total, 0):
                self._again.add(total)
            self._reached[total] = step
            self.is_part = of_part or within or total in self._again
            self.total = total
        self.step = step

    def _is_within(self, total: int) -> bool:
        """Whether this bar stands within another, which had not come to its end when this one began."""
        if total == self.total:
            return self.is_part
        return self.total is not None and self._reached.get(self.total, self.total) < self.total

    def look(self, now: float) -> None:
        """All that was printed until `now` (of any clock, seconds) has been seen."""
        if self.step is not None and self._bar != self._seen_bar:
            self._seen_bar, self._seen_step, self._seen_at = self._bar, self.step, now

    def left_s(self, now: float, planned: Optional[int] = None) -> Optional[float]:
        """Seconds to the run's last step at the pace since these steps began; `planned`: how many, if it prints none.

        `None` where that cannot be told.
        """
        total = self.total or planned
        if self.step is None or not total or self.is_part:
            return None
        if self._bar != self._seen_bar or self.step <= self._seen_step:
            return None
        return max(0.0, (total - self.step) * (now - self._seen_at) / (self.step - self._seen_step))
