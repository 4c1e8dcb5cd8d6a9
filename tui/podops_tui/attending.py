"""Which pods somebody looks at in the app, and how closely: what nobody sees is asked for less often, and not drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from podops.fleet.attention import Attention

#: A terminal that is not focused may still be in sight; after so long nobody is taken to look at it, seconds.
_BESIDE_S = 300.0

#: Drawing takes this share of the time at most, however much there is to draw.
_DRAWING = 0.1


class Attending:
    def __init__(self) -> None:
        self._unfocused_since: float | None = None
        self._handed_over = False
        self._draw_again_at = 0.0

    def attention(self, focused: bool) -> Attention:
        """How somebody looks now; `focused` is what the terminal said last."""
        now = time.monotonic()
        if focused:
            self._unfocused_since = None
        elif self._unfocused_since is None:
            self._unfocused_since = now
        if self._handed_over:
            return "away"
        if self._unfocused_since is None:
            return "looking"
        return "beside" if now - self._unfocused_since < _BESIDE_S else "away"

    @contextmanager
    def handed_over(self) -> Iterator[None]:
        """The terminal shows something else meanwhile."""
        self._handed_over = True
        try:
            yield
        finally:
            self._handed_over = False

    @property
    def may_draw(self) -> bool:
        """Whether it is time to draw again."""
        return not self._handed_over and time.monotonic() >= self._draw_again_at

    def drawn(self, took: float) -> None:
        """It was drawn, for so many seconds of processor time, which puts off the next time."""
        self._draw_again_at = time.monotonic() + took * (1 / _DRAWING - 1)
