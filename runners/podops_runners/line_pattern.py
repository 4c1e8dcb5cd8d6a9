"""Which lines of a piece of a log hold a pattern: text, or a regular expression that is tried on each line alone.

Lines are not taken one by one: plain text that a match must hold is looked for in the whole piece, or the expression
itself, and only the lines found so are tried. Colours and other escape sequences are taken off a line first.
"""

import itertools
import operator
import re

from podops_runners.required_text import Texts, compiled, required_texts
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional, Tuple

#: A longer pattern is refused, characters.
MAX_PATTERN = 4096

_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)"
)  # fmt: skip
_RETURN = re.compile(rb"\r(?=[^\r\n])")

#: What can match in a line alone but not among others: it sees the end of the text, or forbids what follows.
_SEES_BEYOND = re.compile(r"\\[AZz]|\(\?<?!|\(\?>|[*+?}]\+|\(\?[a-zA-Z]*-")

#: Where a text stands more often than once in so many bytes, trying each of its lines costs more than it saves.
_OFTEN = 256

#: How often that is, is looked at in so much of a piece, bytes.
_SAMPLE = 16 * 1024

Span = Tuple[int, int]


class PatternError(ValueError):
    """The pattern cannot be searched for."""


class Hit(NamedTuple):
    """A line `[start, end)` of a piece, without its newline, and where in it the first match is."""

    start: int
    end: int
    match: Span


class LinePattern:
    """One pattern. Letters beyond ASCII, in an expression or without regard to case, are letters; else bytes are."""

    def __init__(self, pattern: str, literal: bool = False, ignore_case: bool = False, folded: bool = False) -> None:
        """`folded`: of a line that was drawn over and over, only what it was last counts. Raises `PatternError`."""
        if "\n" in pattern or len(pattern) > MAX_PATTERN:
            raise PatternError("a pattern is one line of at most {} characters".format(MAX_PATTERN))
        self._folded = folded
        self._text: Optional[bytes] = None
        ascii_only = all(ord(letter) < 128 for letter in pattern)
        if literal and (ascii_only or not ignore_case):
            self._text = pattern.encode("utf-8", "surrogateescape")
        self._lower = ignore_case
        self._letters = not ascii_only and self._text is None
        self._line, self._required = None, []  # type: Any, List[Texts]
        self._whole = self._sees_ahead = False
        if self._text is None:
            self._compile(re.escape(pattern) if literal else pattern)
        elif ignore_case:
            self._text = self._text.lower()
        self._chosen: Optional[Texts] = [self._text] if self._text is not None else None

    def _compile(self, pattern: str) -> None:
        source: Any = pattern if self._letters else pattern.encode("utf-8", "surrogateescape")
        try:
            self._line = compiled(source, self._lower)
        except (re.error, ValueError, OverflowError, RecursionError) as error:
            raise PatternError("{!r} is not a regular expression: {}".format(pattern, error))
        self._lower = bool(self._line.flags & re.IGNORECASE)
        self._whole = not self._letters and not _SEES_BEYOND.search(pattern)
        self._sees_ahead = "(?" in pattern
        self._required = required_texts(source, self._lower)

    def hits(self, data: bytes, start: int = 0, end: Optional[int] = None) -> List[Hit]:
        """The lines of `data[start:end]` that hold the pattern, in order; a last one without its newline counts."""
        end = len(data) if end is None else end
        special = self._special_hits(data, start, end)
        found = self._plain_hits(data, start, end, special)
        if special:
            found = sorted(found + [hit for hit in special.values() if hit is not None])
        return found

    def count(self, data: bytes, end: int) -> int:
        """How many lines of `data[:end]` hold the pattern."""
        text = self._text
        if text is None or not text or self._lower or self._special(data, 0, end) >= 0:
            return len(self.hits(data, 0, end))
        sample = min(end, _SAMPLE)
        if data.count(text, 0, sample) * _OFTEN < sample:
            return len(self.hits(data, 0, end))
        lines = data[:end].split(b"\n")
        return sum(map(operator.contains, lines, itertools.repeat(text)))

    def in_line(self, line: bytes) -> Optional[Span]:
        """Where in a line without newline the first match is."""
        first = 0
        if self._folded and b"\r" in line:
            first = line.rstrip(b"\r").rfind(b"\r") + 1
        if b"\x1b" not in line:
            span = self._match(line[first:] if first else line)
            return (first + span[0], first + span[1]) if span else None
        shown = line[first:]
        span = self._match(_ESCAPE.sub(b"", shown))
        return (first + _raw_place(shown, span[0]), first + _raw_place(shown, span[1])) if span else None

    def _match(self, line: bytes) -> Optional[Span]:
        if self._text is not None:
            at = (line.lower() if self._lower else line).find(self._text)
            return (at, at + len(self._text)) if at >= 0 else None
        if not self._letters:
            found = self._line.search(line)
            return found.span() if found else None
        text = line.decode("utf-8", "surrogateescape")
        found = self._line.search(text)
        if not found:
            return None
        before, inside = (part.encode("utf-8", "surrogateescape") for part in (text[: found.start()], found.group()))
        return len(before), len(before) + len(inside)

    def _special_hits(self, data: bytes, start: int, end: int) -> Dict[int, Optional[Hit]]:
        """What became of the lines that are not searched as they stand, by their starts."""
        tried: Dict[int, Optional[Hit]] = {}
        at = self._special(data, start, end)
        while at >= 0:
            line, stop = _line_around(data, at, start, end)
            tried[line] = self._try(data, line, stop)
            start = min(stop + 1, end)
            at = self._special(data, start, end)
        return tried

    def _special(self, data: bytes, start: int, end: int) -> int:
        at = data.find(b"\x1b", start, end)
        if not self._folded:
            return at
        found = _RETURN.search(data, start, end if at < 0 else at)
        return found.start() if found else at

    def _plain_hits(self, data: bytes, start: int, end: int, special: Dict[int, Optional[Hit]]) -> List[Hit]:
        found: List[Hit] = []
        finder = self._finder(data.lower() if self._lower else data, data, end)
        while start < end:
            at = finder.find(start)
            if at < 0 or (at == end and data[end - 1 : end] == b"\n"):
                break
            line, stop = _line_around(data, at, start, end)
            match_end = finder.match_end(at)
            if line in special:
                hit = None
            elif match_end is not None and match_end <= stop:
                hit = Hit(line, stop, (at - line, match_end - line))
            else:
                hit = self._try(data, line, stop)
            if hit is not None:
                found.append(hit)
            start = stop + 1
        return found

    def _try(self, data: bytes, line: int, stop: int) -> Optional[Hit]:
        span = self.in_line(data[line:stop])
        return None if span is None else Hit(line, stop, span)

    def _finder(self, folded: bytes, data: bytes, end: int) -> "_Finder":
        if self._chosen is None and self._required:
            self._chosen = self._choose(folded)
        if self._chosen:
            return _Texts(self._chosen, folded, end, self._text is not None)
        return _Expression(self._line, data, end, self._sees_ahead) if self._whole else _Finder()

    def _choose(self, sample: bytes) -> Texts:
        """Of what every match must hold, what is rarest; nothing where the expression itself finds as fast."""
        counts = [(sum(map(sample.count, texts)), -min(map(len, texts)), texts) for texts in self._required]
        count, _, texts = min(counts)
        return [] if self._whole and count * _OFTEN > len(sample) else texts


class _Finder:
    """Finds where the next line is that may hold the pattern: here, every line."""

    def find(self, start: int) -> int:
        return start

    def match_end(self, at: int) -> Optional[int]:
        """Where the match that begins `at` ends; `None` when the line has to be tried to know."""
        return None


class _Expression(_Finder):
    def __init__(self, expression: Any, data: bytes, end: int, sees_ahead: bool) -> None:
        self._search, self._data, self._end, self._sees_ahead = expression.search, data, end, sees_ahead
        self._found: Any = None

    def find(self, start: int) -> int:
        self._found = self._search(self._data, start, self._end)
        return self._found.start() if self._found else -1

    def match_end(self, at: int) -> Optional[int]:
        return None if self._sees_ahead else self._found.end()


class _Texts(_Finder):
    """The next of several texts; each is looked for only once in each part of the data. `alone`: the first is all."""

    def __init__(self, texts: Texts, data: bytes, end: int, alone: bool) -> None:
        self._data, self._end, self._texts, self._alone = data, end, texts, alone
        self._next = [-1] * len(texts)

    def find(self, start: int) -> int:
        places = self._next
        for number, text in enumerate(self._texts):
            if places[number] < start:
                at = self._data.find(text, start, self._end)
                places[number] = at if at >= 0 else self._end + 1
        nearest = min(places)
        return nearest if nearest <= self._end else -1

    def match_end(self, at: int) -> Optional[int]:
        return at + len(self._texts[0]) if self._alone else None


def _line_around(data: bytes, at: int, start: int, end: int) -> Span:
    """The line that byte `at` belongs to, without its newline, within `[start, end)`."""
    line = data.rfind(b"\n", start, at) + 1 or start
    stop = data.find(b"\n", at, end)
    return line, end if stop < 0 else stop


def _raw_place(line: bytes, place: int) -> int:
    """Where in `line` the byte stands that is at `place` when escape sequences are taken off."""
    taken = 0
    for match in _ESCAPE.finditer(line):
        if match.start() - taken > place:
            break
        taken += match.end() - match.start()
    return place + taken
