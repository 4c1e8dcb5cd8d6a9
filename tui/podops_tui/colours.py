"""What the sixteen colours of a terminal look like in the app, in its own words as in what a log says."""

from __future__ import annotations

from rich.terminal_theme import TerminalTheme

_NORMAL = [
    (38, 38, 38),
    (240, 72, 72),
    (122, 200, 80),
    (229, 181, 60),
    (88, 140, 255),
    (214, 112, 214),
    (60, 190, 210),
    (200, 200, 200),
]

_BRIGHT = [
    (112, 112, 112),
    (255, 115, 105),
    (160, 226, 110),
    (245, 220, 110),
    (125, 172, 255),
    (240, 150, 240),
    (110, 222, 236),
    (250, 250, 250),
]

#: Each is told from the others, also on 256 colours; in Textual's own, magenta is red and blue is purple.
ANSI = TerminalTheme((12, 12, 12), (217, 217, 217), _NORMAL, _BRIGHT)
