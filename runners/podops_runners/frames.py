"""The wire format of a link: one JSON object per line, optionally followed by raw bytes.

A header with `"bytes": n` announces that exactly `n` bytes follow its newline. Both ends use this module, without I/O
of its own, so that the format is written once.
"""

import json

from podops_runners.typed import Any, Dict, List, NamedTuple, Optional

#: A header line longer than this is a protocol error. A run list of a thousand runs fits.
MAX_HEADER_BYTES = 8 * 1024 * 1024

#: More payload than this in one frame is a protocol error.
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024


_ENCODER = json.JSONEncoder(separators=(",", ":"))


class FrameError(ValueError):
    """The peer sent something that is not a frame."""


class Frame(NamedTuple):
    header: Dict[str, Any]
    payload: bytes


def encode_frame(header: Dict[str, Any], payload: bytes = b"") -> bytes:
    """One frame as bytes; `"bytes"` is set when there is a payload."""
    if payload:
        header = dict(header, bytes=len(payload))
    return _ENCODER.encode(header).encode("ascii") + b"\n" + payload


def encode_log_frame(sub: int, offset: int, payload: bytes) -> bytes:
    """A push of a log's next bytes, one at least, with nothing else to say: as `encode_frame` makes it, but sooner."""
    header = b'{"push":"log","sub":%d,"offset":%d,"skipped":0,"eof":false,"bytes":%d}\n'
    return header % (sub, offset, len(payload)) + payload


class FrameDecoder:
    """Turns chunks of bytes, cut anywhere, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._header: Optional[Dict[str, Any]] = None
        self._needed = 0

    def feed(self, data: bytes) -> List[Frame]:
        """The frames completed by `data`, in order. Raises `FrameError`, after which the link must be closed."""
        self._buffer += data
        frames: List[Frame] = []
        while True:
            frame = self._next()
            if frame is None:
                return frames
            frames.append(frame)

    def _next(self) -> Optional[Frame]:
        if self._header is None and not self._read_header():
            return None
        if self._header is None or len(self._buffer) < self._needed:
            return None
        frame = Frame(self._header, bytes(self._buffer[: self._needed]))
        del self._buffer[: self._needed]
        self._header = None
        return frame

    def _read_header(self) -> bool:
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > MAX_HEADER_BYTES:
                raise FrameError("a frame header is longer than {} bytes".format(MAX_HEADER_BYTES))
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        self._header = _parse_header(line)
        self._needed = self._header.get("bytes", 0)
        return True


def _parse_header(line: bytes) -> Dict[str, Any]:
    if len(line) > MAX_HEADER_BYTES:
        raise FrameError("a frame header is longer than {} bytes".format(MAX_HEADER_BYTES))
    try:
        header = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise FrameError("not a frame: {!r}".format(line[:80]))
    if not isinstance(header, dict):
        raise FrameError("a frame header is not an object: {!r}".format(line[:80]))
    size = header.get("bytes", 0)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_PAYLOAD_BYTES:
        raise FrameError("a frame announces {!r} bytes".format(size))
    return header
