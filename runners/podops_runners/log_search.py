"""Searching a run's log, one step of bounded time and size after the other (docs/protocol.md, "Searching")."""

import os
import time

from podops_runners import records
from podops_runners.line_pattern import Hit, LinePattern
from podops_runners.log_blocks import Piece, backward, forward, readable
from podops_runners.log_marks import LogMarks
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

#: A step ends after so long, or so long after it has found something, seconds.
STEP_S, FOUND_S = 0.5, 0.05

#: A step ends with so many matches, or so many bytes of their lines.
MAX_MATCHES, MAX_BYTES = 2000, 512 * 1024

#: So much of a line is told unless asked for less, bytes.
MAX_TEXT = 64 * 1024

Header = Dict[str, Any]


class Query(NamedTuple):
    """What a request asks for. `line` is the number of the line that begins at `start`, where lines are numbered."""

    pattern: LinePattern
    start: int
    end: Optional[int]
    backwards: bool
    most: int
    text_bytes: int
    only_count: bool
    line: Optional[int]
    part: bool


def query_of(request: Header) -> Query:
    """Raises `PatternError`."""
    pattern = request.get("pattern")
    flags = [request.get(name) is True for name in ("literal", "ignore_case", "folded")]
    end, line = request.get("end"), request.get("line")
    return Query(
        LinePattern(pattern if isinstance(pattern, str) else "", *flags),
        _whole(request.get("start"), 0),
        _whole(end, 0) if end is not None else None,
        request.get("backward") is True,
        max(1, min(_whole(request.get("most"), MAX_MATCHES), MAX_MATCHES)),
        min(_whole(request.get("text_bytes"), 4096), MAX_TEXT),
        request.get("count") is True,
        _whole(line, 1) if line is not None else None,
        request.get("part") is True,
    )


class SearchStep:
    """One step. `at` is how far it has come: from there on the next one goes."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._matches: List[List[Optional[int]]] = []
        self._texts: List[bytes] = []
        self._bytes = 0
        self._count = 0
        self._line = query.line
        self._part = query.part
        self.at = query.start

    def run(self, run: RunDir) -> Tuple[Header, bytes]:
        """The answer; of a run that has no log yet, that nothing was found. Raises `OSError`."""
        gaps = LogMarks(run).gaps()
        try:
            with open(run.stdout_log, "rb", opener=records.regular_file) as stream:
                size = os.fstat(stream.fileno()).st_size
                rest = self._search(stream.fileno(), size, gaps)
        except FileNotFoundError:
            size, rest = 0, None
        told = {"matches": self._matches, "count": self._count, "size": size, "next": rest}
        return told, b"".join(self._texts)

    def _search(self, descriptor: int, size: int, gaps: List[Tuple[int, int]]) -> Optional[Header]:
        """What the next step has to do."""
        query, begun = self._query, time.monotonic()
        end = size if query.end is None else query.end
        self.at = min(end, size) if query.backwards else query.start
        ranges = readable(descriptor, query.start, min(end, size), gaps)
        if self._through(self._pieces(descriptor, ranges), begun):
            return None
        start, end = (query.start, self.at) if query.backwards else (self.at, end)
        return {"start": start, "end": end, "line": self._line, "part": self._part}

    def _pieces(self, descriptor: int, ranges: List[Tuple[int, int]]) -> Iterator[Piece]:
        if self._query.backwards:
            return backward(descriptor, ranges, self._query.part)
        return forward(descriptor, ranges)

    def _through(self, pieces: Iterator[Piece], begun: float) -> bool:
        """Search piece by piece; whether that was all."""
        found_at: Optional[float] = None
        for piece in pieces:
            if piece.offset != self.at:
                self._line = None  # nobody knows how many lines were freed
            if self._piece(piece):
                return False
            self.at, self._part = piece.next, piece.part
            now = time.monotonic()
            if self._matches and found_at is None:
                found_at = now
            if now - begun > STEP_S or (found_at is not None and now - found_at > FOUND_S):
                return False
        return True

    def _piece(self, piece: Piece) -> bool:
        """Note what one piece holds; whether the answer is full."""
        query = self._query
        if query.only_count and not piece.part and piece.limit > piece.end:
            self._count += query.pattern.count(piece.data, piece.end)
            return False
        hits = [hit for hit in query.pattern.hits(piece.data, 0, piece.end) if hit.start + hit.match[0] < piece.limit]
        self._count += len(hits)
        if query.only_count:
            return False
        counted = 0
        for number, hit in enumerate(reversed(hits) if query.backwards else hits, 1):
            if self._line is not None:
                self._line += piece.data.count(b"\n", counted, hit.start)
                counted = hit.start
            self._note(piece, hit)
            if len(self._matches) >= query.most or self._bytes >= MAX_BYTES:
                self._count -= len(hits) - number
                self._stop_behind(piece, hit)
                return True
        if self._line is not None:
            self._line += piece.data.count(b"\n", counted, piece.next - piece.offset)
        return False

    def _note(self, piece: Piece, hit: Hit) -> None:
        query, line = self._query, piece.data[hit.start : hit.end]
        begin = 0
        if len(line) > query.text_bytes:
            begin = max(0, min(hit.match[0] - query.text_bytes // 4, len(line) - query.text_bytes))
        text = line[begin : begin + query.text_bytes]
        self._texts.append(text)
        self._bytes += len(text) + 64
        offset = piece.offset + hit.start
        self._matches.append([offset, len(line), hit.match[0], hit.match[1], begin, len(text), self._line])

    def _stop_behind(self, piece: Piece, hit: Hit) -> None:
        """The next step goes on behind (or, backwards, before) the line of the last match."""
        if self._query.backwards:
            self.at, self._part = piece.offset + hit.start, False
            return
        behind = min(hit.end + 1, piece.end)
        self.at = piece.next if behind >= piece.end else piece.offset + behind
        if self._line is not None:
            self._line += piece.data.count(b"\n", hit.start, behind)


def _whole(value: Any, default: int) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else default
