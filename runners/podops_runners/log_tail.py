"""The end of a log as lines a classifier can read: terminal codes, launcher prefixes and log headers taken off."""

import re

from podops_runners.typed import List, NamedTuple, Optional, Pattern, Tuple

TAIL_BYTES = 256 * 1024
MAX_LINE = 4096
#: More lines than this are only found where they are very short.
MAX_LINES = 10000

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

_SECRET = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|wandb_v1_[\w-]{20,}|local-[0-9a-f]{40}|sk-[A-Za-z0-9_-]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b|[0-9a-f]{40}\b)"
    r"|(?<=://)[^/\s:@]{1,200}:[^/\s@]{1,400}(?=@)"
)

#: Who printed it: torch's own prefix, torchrun's and accelerate's `--tee`, Ray's and vLLM's process names.
_SPEAKER = re.compile(r"\[?(?:rank|default)(\d+)\]: ?|\(([^()]{0,80}\bpid=\d+[^()]{0,60})\) ?")
_TIME = re.compile(r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?(?: ?[-|])? ?")
#: Of Python's logging, vLLM's `ERROR 11-18 18:07:28 [core.py:302] `, glog's `[E socket.cpp:1] `.
_LEVEL = re.compile(
    r"\[?(DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\]?"
    r"(?: \d\d-\d\d \d\d:\d\d:\d\d \[?[\w./]+\.py:\d+\]|:[\w.]+:|[:|]| [-|]|(?=\s)) ?"
    r"|\[?([DIWEF])(?:\d{3,4} [\d:.]+(?: +\d+)?)? [\w./-]+\.(?:cpp|cc|cu|py|h):\d+\] ?"
)
_LEVELS = {"D": "debug", "I": "info", "N": "info", "W": "warning", "E": "error", "C": "error", "F": "error"}


class Line(NamedTuple):
    """One line; a carriage return ends a line too."""

    #: Where it begins in the file, bytes.
    offset: int
    #: As a person saw it, without terminal codes.
    text: str
    #: Without the prefixes of launchers and loggers; indentation kept.
    body: str
    #: Which process printed it, where it says so; else empty.
    speaker: str
    #: `debug`, `info`, `warning`, `error`, or empty where it has no level.
    level: str


def read_tail(path: str, start: int, end: Optional[int]) -> List[Line]:
    """The last `TAIL_BYTES` of the bytes `start` to `end` as lines, blank ones left out; empty when unreadable."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, 2)
            stop = size if end is None else min(max(end, 0), size)
            first = max(start, 0, stop - TAIL_BYTES)
            stream.seek(first)
            data = stream.read(max(0, stop - first))
    except (OSError, ValueError, OverflowError):
        return []
    if first > max(start, 0) and b"\n" in data:
        cut = data.index(b"\n") + 1
        first, data = first + cut, data[cut:]
    return _lines(data, first)


def shown(text: str, limit: int) -> str:
    """`text` as one printable line of at most `limit` characters, what looks like a secret masked."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    line = _SECRET.sub("***", " ".join(printable.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _lines(data: bytes, offset: int) -> List[Line]:
    pieces = []
    for raw in re.split(rb"[\r\n]", data):
        if raw and not raw.isspace():
            pieces.append((offset, raw))
        offset += len(raw) + 1
    lines = []
    for offset, raw in pieces[-MAX_LINES:]:
        text = _CONTROL.sub("", _ANSI.sub("", raw[:MAX_LINE].decode("utf-8", "replace")))
        if text.strip():
            lines.append(Line(offset, text, *_unprefixed(text)))
    return lines


def _unprefixed(text: str) -> Tuple[str, str, str]:
    speaker = level = ""
    position = 0
    for _ in range(8):
        match = _match((_SPEAKER, _TIME, _LEVEL), text, position)
        if match is None:
            break
        if match.re is _SPEAKER:
            speaker = "rank " + match.group(1) if match.group(1) else match.group(2)
        elif match.re is _LEVEL:
            level = _LEVELS[(match.group(1) or match.group(2))[0]]
        position = match.end()
    return text[position:], speaker, level


def _match(patterns: Tuple[Pattern[str], ...], text: str, position: int) -> "Optional[re.Match[str]]":
    for pattern in patterns:
        match = pattern.match(text, position)
        if match is not None and match.end() > position:
            return match
    return None
