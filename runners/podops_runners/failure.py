"""Which of the things a log tells was the failure that ended the run: the first cause at its end, not what followed."""

import re

from podops_runners import tracebacks
from podops_runners.causes import CAUSES, MESSENGER, NO_ROOM_BYTES, Cause
from podops_runners.log_tail import Line
from podops_runners.tracebacks import Traceback
from podops_runners.typed import Dict, List, NamedTuple, Optional, Set

#: Ordinary lines after the last sign of a failure: more, and the program had got over it. Fewer for a death by signal,
#: which no Python error brings about by itself.
_AFTER_LAST = 60
_AFTER_LAST_SIGNAL = 20
#: Ordinary lines between the signs of one failure.
_BETWEEN = 30
#: So many different lines of progress, and the program had gone on.
_WENT_ON = 5

_PROGRESS = re.compile(
    r"(?i)\d+%\||\d ?(?:it/s|s/it)\b|'loss': |\bloss ?[:=] ?[\d.]|^\{\"step\""
    r"|^\W*(?:iter|iteration|step|epoch|batch|round)s?\b\W{0,4}\d"
)
#: Lines that a failing program's surroundings print: never a sign that it went on.
_NOISE = re.compile(
    "|".join(
        (
            r"^wandb:|^\s*(?:frame )?#\d+:? |torch[./]distributed[./]|^\s+File \"|^\s*[│╭╰|+]|^\W*$",
            r"UserWarning|FutureWarning|warnings\.warn|resource_tracker|^To redirect|^Extension modules",
            r"^terminate called|what\(\): |^Aborted|^Killed$|core dumped|^Exception (?:raised from|in thread)",
            r"^Fatal Python error|^(?:Current thread|Thread) 0x|closing signal SIG|Killing subprocess",
            r"NCCL |ncclComm|^\[?c10d\]?|^Last error:|^CUDA kernel errors|^For debugging|^Compile with `TORCH",
            r"exitcode|error_file|^\s*(?:time|host|rank|traceback) +: |^Root Cause|^Failures?:| FAILED$|_OTHER_FAIL",
        )
    )
)
_RETRIED = re.compile(
    r"(?i)\b(?:retry(?:ing)?|retries|trying (?:again|another|next)|try(?:ing)? port|attempt \d|skipp(?:ing|ed))\b"
)


class Conditions(NamedTuple):
    """What is known beside the log."""

    exit_code: Optional[int]
    signal: Optional[int]
    oom_kills: int
    disk_free_bytes: Optional[int]


class Sign(NamedTuple):
    """One thing in the log that tells of a failure."""

    first: int
    last: int
    speaker: str
    #: Index of the line that says it.
    line: int
    #: `None` for an error of no known kind.
    cause: Optional[Cause]
    #: It reports or follows a failure elsewhere.
    secondary: bool
    traceback: Optional[Traceback] = None


def find_failure(lines: List[Line], known: Conditions) -> Optional[Sign]:
    """The sign the run ended by; `None` where the end of the log tells of no failure."""
    signs = _signs(lines, known)
    episode = _episode(lines, signs, known)
    primary = [sign for sign in episode if not sign.secondary]
    if not primary:
        named = [sign for sign in episode if sign.cause]
        return named[0] if named else (episode[-1] if episode else None)
    last_of: Dict[str, Sign] = {}
    for sign in primary:
        last_of[sign.speaker] = sign
    # A speaker is a process by itself, so its last error is what ended it, and the first process to end began it all.
    # Without names the order of errors is that of one program, whose earlier ones it had handled.
    speakers = [sign for name, sign in last_of.items() if name]
    chosen = min(speakers, key=lambda sign: sign.line) if speakers else primary[-1]
    return chosen if chosen.cause is None else _first_of(chosen, primary)


def _first_of(chosen: Sign, primary: List[Sign]) -> Sign:
    """The first sign of the same cause, with the traceback that tells most of it: the innermost comes last."""
    same = [sign for sign in primary if sign.cause is chosen.cause]
    inner = [sign.traceback for sign in same if sign.traceback and sign.speaker == same[0].speaker]
    return same[0]._replace(traceback=inner[-1] if inner else None)


def _signs(lines: List[Line], known: Conditions) -> List[Sign]:
    found = tracebacks.find_tracebacks(lines)
    signs = [_of_traceback(traceback, known) for traceback in found]
    inside = _covered(found, lines)
    # A message of several lines may quote anything; only one that reports a failure elsewhere is read on.
    quoted = {index for sign in signs if not sign.secondary for index in _messages(sign)}
    for index, line in enumerate(lines):
        cause = None if index in inside else _of_line(line, known)
        if cause and (cause.needs or index not in quoted):
            signs.append(Sign(index, index, line.speaker, index, cause, cause.consequence))
    return sorted(signs, key=lambda sign: sign.last)


def _messages(sign: Sign) -> List[int]:
    """The further lines of its errors' messages."""
    return [index for raised in sign.traceback.chain for index in raised.more] if sign.traceback else []


def _of_traceback(traceback: Traceback, known: Conditions) -> Sign:
    chain = traceback.chain
    # Errors tied by "raise … from" are one failure; one that came up while another was handled stands alone.
    tied = len(chain) - 1
    while tied > 0 and chain[tied].link == "direct":
        tied -= 1
    for cause in CAUSES:
        for index, raised in enumerate(chain):
            text = "{}: {}".format(raised.error, raised.message)
            counts = index >= tied or not cause.handled_often
            if counts and cause.error and cause.error.match(text) and _holds(cause, known):
                return Sign(
                    traceback.first, traceback.last, traceback.speaker, raised.line, cause, cause.consequence, traceback
                )
    last = chain[-1]
    secondary = bool(MESSENGER.match("{}: {}".format(last.error, last.message)))
    return Sign(traceback.first, traceback.last, traceback.speaker, last.line, None, secondary, traceback)


def _of_line(line: Line, known: Conditions) -> Optional[Cause]:
    if line.level in ("debug", "info", "warning") or _RETRIED.search(line.body):
        return None
    return next(
        (cause for cause in CAUSES if cause.line and _holds(cause, known) and cause.line.search(line.body)), None
    )


def _holds(cause: Cause, known: Conditions) -> bool:
    if cause.needs == "oom_kills":
        return known.oom_kills > 0
    if cause.needs == "no_room":
        return known.disk_free_bytes is not None and known.disk_free_bytes < NO_ROOM_BYTES
    return known.exit_code in (126, 127) if cause.needs == "not_started" else True


def _covered(found: List[Traceback], lines: List[Line]) -> Set[int]:
    """Lines that are part of a traceback: what they quote is no sign by itself."""
    return {
        index
        for traceback in found
        for index in range(traceback.first, traceback.last + 1)
        if lines[index].speaker == traceback.speaker
    }


def _episode(lines: List[Line], signs: List[Sign], known: Conditions) -> List[Sign]:
    """The signs of the failure at the end, in their order: from the last one back until the program was at work."""
    quiet = _covered([sign.traceback for sign in signs if sign.traceback], lines)
    quiet |= {index for sign in signs for index in [sign.line] + _messages(sign)}
    ordinary = [0]
    for index, line in enumerate(lines):
        ordinary.append(ordinary[-1] + (0 if index in quiet or _NOISE.search(line.body) else 1))
    episode: List[Sign] = []
    border = len(lines)
    allowed = _AFTER_LAST if known.signal is None else _AFTER_LAST_SIGNAL
    for sign in reversed(signs):
        if sign.cause and not sign.traceback and ordinary[-1] - ordinary[sign.last + 1] > sign.cause.reach:
            continue
        after = min(border, len(lines))
        if ordinary[max(after, sign.last + 1)] - ordinary[sign.last + 1] > allowed or _went_on(
            lines, sign.last + 1, after
        ):
            break
        episode.append(sign)
        border, allowed = min(border, sign.first), _BETWEEN
    return episode[::-1]


def _went_on(lines: List[Line], first: int, after: int) -> bool:
    seen: Set[str] = set()
    for index in range(first, after):
        if _PROGRESS.search(lines[index].body):
            seen.add(lines[index].body)
            if len(seen) >= _WENT_ON:
                return True
    return False
