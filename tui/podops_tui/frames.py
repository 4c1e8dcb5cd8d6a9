"""How often a screen is drawn at most."""

from __future__ import annotations

import os

from textual import screen

#: Seconds between two drawings. A line of a log that comes a moment after the one before is what waits for it; nothing
#: is drawn more often than it changes.
FRAME_S = 1 / 120


def shorten() -> None:
    """Have Textual draw so often at most, unless `TEXTUAL_FPS` says how often; before the first screen is made."""
    if not os.environ.get("TEXTUAL_FPS"):
        # It is fixed when Textual is loaded, and used when a screen is drawn for the first time.
        vars(screen)["UPDATE_PERIOD"] = FRAME_S
