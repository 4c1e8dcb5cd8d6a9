"""How the lines that a search finds are printed: as grep does, or as JSON."""

from __future__ import annotations

import base64
import os
import sys
from typing import TYPE_CHECKING

import click

from podops.cli.output import json_text, use_colour
from podops.cli.terminal_filter import TerminalFilter

if TYPE_CHECKING:
    from podops.fleet.log_search import LogMatch, SearchStep

_RED, _PLAIN = b"\x1b[1;31m", b"\x1b[0m"


class MatchPrinter:
    """Takes a search step by step; `found` counts its matches. `as_of` is when the log was so, if it is remembered."""

    def __init__(self, count_only: bool) -> None:
        self.found = 0
        self.as_of: str | None = None
        self._count_only = count_only
        self._looked = self._size = 0
        self._progress = ""

    def step(self, step: SearchStep) -> None:
        self.found += step.count
        self._looked, self._size = step.looked, step.size
        self._tell_progress("")
        if step.matches and not self._count_only:
            _write(b"".join(self.line(match) for match in step.matches))
        if not step.done:
            self._tell_progress(f"searching… {step.percent} %")

    def line(self, match: LogMatch) -> bytes:
        """What is printed of one match."""
        raise NotImplementedError

    def total(self, run_id: str, pod: str) -> None:
        """Say what the whole search came to."""
        raise NotImplementedError

    def end(self) -> None:
        self._tell_progress("")

    def _tell_progress(self, text: str) -> None:
        if text != self._progress and sys.stderr.isatty():
            self._progress = text
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()


class TextMatches(MatchPrinter):
    def __init__(self, numbers: bool, offsets: bool, count_only: bool) -> None:
        super().__init__(count_only)
        self._numbers, self._offsets = numbers, offsets
        self._terminal, self._colour = sys.stdout.isatty(), use_colour()

    def line(self, match: LogMatch) -> bytes:
        prefix = ""
        if self._numbers:
            prefix += f"{'?' if match.number is None else match.number}:"
        if self._offsets:
            prefix += f"{match.offset}:"
        return prefix.encode() + (self._on_terminal(match) if self._terminal else match.text) + b"\n"

    def total(self, run_id: str, pod: str) -> None:
        if self._count_only:
            click.echo(str(self.found))

    def _on_terminal(self, match: LogMatch) -> bytes:
        """Of a line that was drawn over, the state that matches; nothing that steers the terminal but colours."""
        start, end = match.start - match.text_start, match.end - match.text_start
        text = match.text
        begin = text.rfind(b"\r", 0, start) + 1
        stop = text.find(b"\r", end)
        stop = len(text) if stop < 0 else stop
        parts = [text[begin:start], text[start:end], text[end:stop]]
        if self._colour and b"\x1b" not in text and parts[1]:
            parts[1] = _RED + parts[1] + _PLAIN
        screen = TerminalFilter()
        cut = "…".encode() if match.text_start + len(text) < match.length else b""
        return screen.feed(b"".join(parts).replace(b"\r", b"")) + screen.end() + cut


class JsonMatches(MatchPrinter):
    def line(self, match: LogMatch) -> bytes:
        told: dict[str, object] = {"offset": match.offset, "length": match.length, "match": [match.start, match.end]}
        if match.number is not None:
            told["line"] = match.number
        if len(match.text) < match.length:
            told["text_start"] = match.text_start
        try:
            told["text"] = match.text.decode("utf-8")
        except UnicodeDecodeError:
            told["base64"] = base64.b64encode(match.text).decode("ascii")
        return json_text(told).encode() + b"\n"

    def total(self, run_id: str, pod: str) -> None:
        told: dict[str, object] = {"ok": True, "run_id": run_id, "pod": pod, "matches": self.found}
        told |= {"searched_bytes": self._looked, "log_bytes": self._size}
        if self.as_of is not None:
            told |= {"source": "history", "as_of": self.as_of}
        click.echo(json_text(told))


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
