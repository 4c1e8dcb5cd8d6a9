"""Text of pods made safe to draw: colours stay, everything else that could steer a terminal goes."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.ansi import AnsiDecoder
from rich.cells import cell_len
from rich.text import Text

#: From one tab stop to the next, cells.
_TAB = 8

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
#: CSI, then OSC/DCS/PM/APC/SOS strings (an unfinished one swallows the rest of the line), then other escapes.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$|(?=\x1b))"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def clean(text: str) -> str:
    """One line without any control: no sequences, no C0/C1, no bidi overrides; a tab is spaces."""
    return _expanded(_CONTROLS.sub("", _SEQUENCES.sub("", text)), 0)


@lru_cache(maxsize=8192)
def parse_line(raw: str) -> Text:
    """One line with its colours (SGR) and nothing else. The result is shared: do not change it."""
    text = Text(no_wrap=True, end="")
    decoder = AnsiDecoder()
    column = 0
    for code, plain in _pieces(raw):
        if code:
            # The decoder keeps the style between calls; the code alone yields no text.
            decoder.decode_line(code)
            continue
        shown = _expanded(plain, column)
        text.append(shown, decoder.style)
        column += cell_len(shown) if "\t" in raw else 0
    return text


def _expanded(text: str, column: int) -> str:
    """`text`, which begins in the cell `column`, with blanks up to the next tab stop for each tab."""
    if "\t" not in text:
        return text
    *before_tabs, rest = text.split("\t")
    shown = ""
    for part in before_tabs:
        column += cell_len(part)
        blanks = _TAB - column % _TAB
        column += blanks
        shown += part + " " * blanks
    return shown + rest


def _pieces(raw: str) -> list[tuple[str, str]]:
    pieces: list[tuple[str, str]] = []
    start = 0
    for match in _SEQUENCES.finditer(raw):
        pieces.append(("", _CONTROLS.sub("", raw[start : match.start()])))
        if _SGR.fullmatch(match.group()):
            pieces.append((match.group().replace(":", ";"), ""))
        start = match.end()
    pieces.append(("", _CONTROLS.sub("", raw[start:])))
    return [piece for piece in pieces if piece != ("", "")]
