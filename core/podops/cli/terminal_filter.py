"""A log on its way to a terminal: colours pass, everything else that could steer the terminal goes."""

from __future__ import annotations

import codecs
import re

_COLOUR = r"\x1b\[[0-9;:]{0,64}m"
# CSI; OSC, DCS, SOS, PM and APC strings, which end with their line at the latest; then other escapes.
_SEQUENCE = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 but for tab, newline and carriage return; C1; and what turns the direction of the line around.
_CONTROL = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_STEERING = re.compile(f"({_COLOUR})|{_SEQUENCE}|{_CONTROL}")
_UNFINISHED = re.compile(
    r"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*\x1b?|\x1b[ -/]*)\Z"
)

#: A sequence longer than this is not waited for, characters.
_LONGEST = 4096


class TerminalFilter:
    """Takes a log piece by piece; a sequence or a character that is cut in two is put together first."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        #: Whether a colour has passed, which the terminal keeps until it is told to forget it.
        self.coloured = False

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what was held back before, may be shown now."""
        text = self._held + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        if unfinished is not None and len(unfinished.group()) <= _LONGEST:
            self._held = unfinished.group()
            text = text[: unfinished.start()]
        else:
            self._held = ""
        return _STEERING.sub(self._kept, text).encode()

    def end(self) -> bytes:
        """What brings the terminal back to its own colours; the rest of an unfinished sequence is dropped."""
        self._held = ""
        return b"\x1b[0m" if self.coloured else b""

    def _kept(self, match: re.Match[str]) -> str:
        colour: str | None = match.group(1)
        self.coloured = self.coloured or colour is not None
        return colour or ""
