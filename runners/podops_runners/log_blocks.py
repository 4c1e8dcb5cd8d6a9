"""The bytes of a log in pieces of whole lines, forwards or backwards, without what was freed and without holes."""

import errno
import os

from podops_runners.typed import Iterator, List, NamedTuple, Sequence, Tuple

#: So much is read at once: it fits a processor's cache.
BLOCK = 256 * 1024

#: A line longer than this is taken in parts, which overlap by so much.
MAX_LINE, OVERLAP = 32 * 1024 * 1024, 64 * 1024

#: A file in more pieces than this is read with the holes between the rest of them.
_MOST_EXTENTS = 10000

Range = Tuple[int, int]


class Piece(NamedTuple):
    """Whole lines `data[:end]` that begin at `offset` of the log; all before (or behind) `next` has been given then.

    A match in a part of a line that is too long counts only if it begins before `limit`: the next part has the rest.
    """

    offset: int
    data: bytes
    end: int
    next: int
    limit: int
    part: bool


def readable(descriptor: int, start: int, end: int, freed: Sequence[Range]) -> List[Range]:
    """The ranges of `[start, end)` that hold something, in order."""
    ranges = []
    for low, high in _extents(descriptor, start, end):
        at = low
        for gap in freed:
            if gap[0] < high and at < gap[1]:
                if at < gap[0]:
                    ranges.append((at, gap[0]))
                at = gap[1]
        if at < high:
            ranges.append((at, high))
    return ranges


def _extents(descriptor: int, start: int, end: int) -> List[Range]:
    info = os.fstat(descriptor)
    end = min(end, info.st_size)
    if info.st_blocks * 512 >= info.st_size or not hasattr(os, "SEEK_DATA"):
        return [(start, end)] if start < end else []
    found: List[Range] = []
    while start < end:
        if len(found) >= _MOST_EXTENTS:
            return found + [(start, end)]
        try:
            low = os.lseek(descriptor, start, os.SEEK_DATA)
            high = min(end, os.lseek(descriptor, low, os.SEEK_HOLE))
        except OSError as error:
            # ENXIO: there is nothing but a hole any more. Others: this file system cannot tell.
            return found if error.errno == errno.ENXIO else found + [(start, end)]
        if low < high:
            found.append((low, high))
        start = max(high, start + 1)
    return found


def forward(descriptor: int, ranges: Sequence[Range]) -> Iterator[Piece]:
    """The pieces of `ranges` in order. Ends early where the file does."""
    for low, high in ranges:
        at, stop, want = low, high, BLOCK
        while at < stop:
            asked = min(want, stop - at)
            data = os.pread(descriptor, asked, at)
            if not data:
                return
            if len(data) < asked:
                stop = at + len(data)  # it has been cut off
            end = len(data) if at + len(data) == stop else data.rfind(b"\n") + 1
            if end:
                yield Piece(at, data, end, at + end, end + 1, False)
                at, want = at + end, BLOCK
            elif len(data) < MAX_LINE:
                want = min(4 * want, MAX_LINE)
            else:
                limit = len(data) - OVERLAP
                yield Piece(at, data, len(data), at + limit, limit, True)
                at += limit


def backward(descriptor: int, ranges: Sequence[Range], part: bool) -> Iterator[Piece]:
    """The pieces of `ranges`, the last one first; lines within a piece stay in order.

    `part`: the end of the last range has been given already, as the `part` of a line.
    """
    within = part
    for low, high in reversed(ranges):
        stop, want = high, BLOCK
        while low < stop:
            start = max(low, stop - want)
            data = os.pread(descriptor, stop - start, start)
            if not data:
                return
            cut = data.find(b"\n", 0, len(data) - 1) + 1 if start > low else 0
            if not cut and start > low and want < MAX_LINE:
                want = min(4 * want, MAX_LINE)
                continue
            given = data[cut:] if cut else data
            limit = len(given) - OVERLAP if within else len(given) + 1
            within = not cut and start > low
            stop, want = start + cut + (OVERLAP if within else 0), BLOCK
            yield Piece(start + cut, given, len(given), stop, limit, within)
        within = False
