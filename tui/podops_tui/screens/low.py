"""What questions have in common on a terminal with few lines: what is answered with is never out of sight."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen

Answer = TypeVar("Answer")

#: Below so many lines a question does without blank lines and frames of its parts.
_LOW = 18


class LowScreen(ModalScreen[Answer]):
    """With few lines it has the class `low`; subclasses share out the lines within the frame in `fit`."""

    def on_resize(self) -> None:
        low = self.size.height < _LOW
        self.set_class(low, "low")
        self.fit(self.size.width, max(0, (self.size.height if low else self.size.height * 9 // 10) - 2), low)

    def fit(self, width: int, lines: int, low: bool) -> None:
        raise NotImplementedError
