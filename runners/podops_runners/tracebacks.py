"""Python tracebacks in a log: plain, chained, quoted by worker processes, grouped, and drawn by rich."""

import re

from podops_runners.log_tail import Line
from podops_runners.typed import Dict, List, NamedTuple, Optional

_HEADER = re.compile(r"\s*(?:Original |Exception Group )?Traceback \(most recent call last\):?\s*$")
_RICH_HEADER = re.compile(r"\s*[╭+][─-]+ Traceback \(most recent call last\)")
_RICH_END = re.compile(r"\s*[╰+][─-]{10,}")
_FRAME = re.compile(r'\s*File "([^"]*)", line (\d+)(?:, in (.+))?$')
#: The box is narrow: the function's name may stand on the next line.
_RICH_FRAME = re.compile(r"\s*[│|]?\s*([^│|\s][^│|]*?):(\d+) in(?: (\S+))?\s*[│|]?\s*$")
_NAME = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Z]\w*|(?:[A-Za-z_]\w*\.)+[a-z_]\w*)(?:\(\w+\))?(?:: ?(.*)|\s*)$")
_NO_NAME = re.compile(r"(?:INFO|DEBUG|WARNING|ERROR|CRITICAL|Epoch|Step|Iteration)\b")
_DIRECT = "The above exception was the direct cause of the following exception:"
_DURING = "During handling of the above exception, another exception occurred:"
_LINKS = {_DIRECT: "direct", _DURING: "during"}
_IGNORED = re.compile(
    r"Exception ignored in|Task exception was never retrieved|--- Logging error ---|future: <Task finished"
)
#: Exception groups are drawn with a margin of bars.
_MARGIN = re.compile(r"\s*(?:[|+] )+(?=\s*\S)")
_RULE = re.compile(r"\s*(?:\| )*\+[-+]+(?: (?:\d+|\.\.\.) -+)?\s*$")

#: Lines of one message that are kept beside the first.
_MESSAGE_LINES = 12
#: Lines that belong to nobody (another process talks in between) before a traceback counts as cut off.
_STRAY_LINES = 30


class Raised(NamedTuple):
    """One exception of a chain."""

    error: str
    message: str
    #: Index of its line, and of the lines its message goes on in.
    line: int
    more: List[int]
    file: str
    row: int
    function: str
    #: How it hangs on the one before: `direct` (raised from it), `during` (while handling it), or empty.
    link: str


class Traceback(NamedTuple):
    first: int
    last: int
    speaker: str
    chain: List[Raised]


class _Open:
    """A traceback being read, of one speaker."""

    def __init__(self, first: int, speaker: str, rich: bool) -> None:
        self.first, self.speaker, self.rich = first, speaker, rich
        self.chain: List[Raised] = []
        self.frame = ("", 0, "")
        self.link = ""
        self.in_frames = True
        self.boxed = rich
        self.stray = 0
        self.last = first

    def again(self, rich: bool) -> None:
        """The next link of the chain begins."""
        self.in_frames, self.boxed, self.rich, self.frame, self.stray = True, rich, rich, ("", 0, ""), 0


def find_tracebacks(lines: List[Line]) -> List[Traceback]:
    """All complete ones in the order of their beginnings, without those that end nothing ("Exception ignored in")."""
    opened: Dict[str, _Open] = {}
    found: List[Traceback] = []
    for index, line in enumerate(lines):
        body = _bare(line.body)
        current = opened.get(line.speaker)
        rich = bool(_RICH_HEADER.match(body))
        if rich or _HEADER.match(body):
            opened[line.speaker] = _begin(current, index, line, rich, lines, found)
        elif current is None and body.strip() in _LINKS:
            headless = _headless(lines, index)
            if headless is not None:
                opened[line.speaker] = headless
        elif current is not None and not _take(current, index, body):
            _close(opened.pop(line.speaker), found)
    for left in opened.values():
        _close(left, found)
    return sorted(found, key=lambda traceback: traceback.first)


def told(traceback: Traceback) -> Dict[str, object]:
    """The last frame and message, as the summary carries them."""
    last = traceback.chain[-1]
    return {
        "file": last.file,
        "line": last.row,
        "function": last.function,
        "error": last.error,
        "message": last.message,
    }


def _begin(
    current: Optional[_Open], index: int, line: Line, rich: bool, lines: List[Line], found: List[Traceback]
) -> _Open:
    if current is not None and current.link and not current.in_frames:
        current.again(rich)
        return current
    if current is not None:
        _close(current, found)
    fresh = _Open(index, line.speaker, rich)
    before = [other.body for other in lines[max(0, index - 3) : index] if other.speaker == line.speaker]
    if any(_IGNORED.match(body.strip()) for body in before):
        fresh.first = -1
    return fresh


def _take(current: _Open, index: int, body: str) -> bool:
    """Whether the line belongs to the traceback, or at least does not end it."""
    if not current.in_frames:
        return _take_message(current, index, body)
    frame = _RICH_FRAME.match(body) if current.boxed else _FRAME.match(body)
    if frame is not None:
        current.frame = (frame.group(1), int(frame.group(2)[:9]), frame.group(3) or "")
    elif current.boxed:
        current.boxed = not _RICH_END.match(body)
    elif not body[:1].isspace():
        return _take_exception(current, index, body)
    current.last = index
    return True


def _take_exception(current: _Open, index: int, body: str) -> bool:
    match = None if _NO_NAME.match(body) else _NAME.match(body)
    if match is None:
        current.stray += 1
        return current.stray <= _STRAY_LINES
    raised = Raised(match.group(1), (match.group(2) or "").strip(), index, [], *current.frame, current.link)
    current.chain.append(raised)
    current.link, current.in_frames, current.last, current.stray = "", False, index, 0
    return True


def _take_message(current: _Open, index: int, body: str) -> bool:
    if body.strip() in _LINKS:
        current.link, current.stray = _LINKS[body.strip()], 0
        return True
    if current.link:
        current.stray += 1
        # An error that was made but never raised has no frames, so no heading either.
        headless = current.stray == 1 and not body[:1].isspace() and _NAME.match(body) is not None
        return _take_exception(current, index, body) if headless else current.stray <= _STRAY_LINES
    last = current.chain[-1]
    if len(last.more) >= _MESSAGE_LINES:
        return False
    if not last.more and not last.message:
        current.chain[-1] = last._replace(message=body.strip())
    current.chain[-1].more.append(index)
    return True


def _headless(lines: List[Line], link: int) -> Optional[_Open]:
    """A chain whose first error has no frames: it is seen only at the words that tie the next one to it."""
    speaker = lines[link].speaker
    for index in range(link - 1, max(-1, link - _MESSAGE_LINES), -1):
        body = lines[index].body
        if (
            lines[index].speaker == speaker
            and not body[:1].isspace()
            and _NAME.match(body)
            and not _NO_NAME.match(body)
        ):
            opened = _Open(index, speaker, False)
            _take_exception(opened, index, body)
            opened.link = _LINKS[lines[link].body.strip()]
            return opened
    return None


def _close(current: _Open, found: List[Traceback]) -> None:
    if current.first >= 0 and current.chain:
        found.append(Traceback(current.first, current.last, current.speaker, current.chain))


def _bare(body: str) -> str:
    """Without the margin of an exception group."""
    if _RULE.match(body):
        return ""
    margin = _MARGIN.match(body)
    return body[margin.end() :] if margin else body
