"""Why an attempt ended, with the evidence: from its exit status, the kernel's counters and the end of its log.

Nothing is guessed: what the evidence does not tell is `nonzero_exit`, `signal` or `unknown`. See docs/reasons.md.
"""

import re
import signal as signals

from podops_runners import log_tail, states, tracebacks
from podops_runners.causes import MESSENGER
from podops_runners.failure import Conditions, Sign, find_failure
from podops_runners.log_tail import Line
from podops_runners.process import signal_name
from podops_runners.typed import Any, Dict, List, Optional, Tuple
from podops_runners.verdict import Ending, Verdict

_DETAIL = 300
_EVIDENCE_LINE = 1000
_CANCELLING = ("user_kill", "preempted")
#: What torchrun says of a worker that a signal ended: `exitcode  : -11 (pid: 5)`.
_WORKER_SIGNAL = re.compile(r"exitcode\s*: -(\d{1,2})\b|\(exitcode: -(\d{1,2})\)|return code = -(\d{1,2})\b")
#: What argparse says of `lr=0.1` where it takes `--lr 0.1`.
_NO_FLAG = re.compile(r": error: unrecognized arguments: (?!-)\S+=")


def classify(ending: Ending) -> Verdict:
    """Judge one ending. Never raises: a log that cannot be read only tells nothing."""
    if ending.stop_cause:
        return _stopped(ending)
    number = _signal_of(ending)
    if ending.exit_code == 0 and number is None:
        return _verdict(ending, states.SUCCEEDED, "ok", "", {"source": "exit", "exit_code": 0})
    lines = log_tail.read_tail(ending.log_path, ending.log_start, ending.log_end)
    found = _last_traceback(lines)
    if ending.exit_code is None and number is None:
        detail = "nobody saw how it ended" + (", its last error: " + _error_text(found) if found else "")
        return _verdict(ending, states.FAILED, "unknown", detail, {"source": "none"}, found)
    if number == signals.SIGKILL and ending.oom_kills > 0:
        detail = "killed by SIGKILL while the kernel counted {} kill(s) for memory".format(ending.oom_kills)
        return _verdict(ending, states.FAILED, "oom_host", detail, {"source": "cgroup", "signal": number}, found)
    conditions = Conditions(ending.exit_code, number, ending.oom_kills, ending.disk_free_bytes)
    sign = find_failure(lines, conditions)
    if sign is not None and sign.cause is not None:
        return _from_log(ending, lines, sign, found)
    return _without_cause(ending, number, lines, sign, found)


def _stopped(ending: Ending) -> Verdict:
    reason = ending.stop_cause if ending.stop_cause in states.REASONS else "unknown"
    state = states.CANCELLED if reason in _CANCELLING else states.FAILED
    detail = ending.stop_detail or str(ending.stop_cause)
    lines = log_tail.read_tail(ending.log_path, ending.log_start, ending.log_end)
    evidence = {"source": "supervisor", "cause": log_tail.shown(str(ending.stop_cause), 100)}
    return _verdict(ending, state, str(reason), detail, evidence, _last_traceback(lines))


def _from_log(ending: Ending, lines: List[Line], sign: Sign, found: Optional[Dict[str, Any]]) -> Verdict:
    assert sign.cause is not None
    line = lines[sign.line]
    source = "cgroup" if sign.cause.needs == "oom_kills" else "log"
    detail = "{}: {}".format(sign.cause.explanation, line.body.strip())
    own = tracebacks.told(sign.traceback) if sign.traceback else found
    return _verdict(ending, states.FAILED, sign.cause.reason, detail, _at(source, line), own)


def _without_cause(
    ending: Ending, number: Optional[int], lines: List[Line], sign: Optional[Sign], found: Optional[Dict[str, Any]]
) -> Verdict:
    own = tracebacks.told(sign.traceback) if sign and sign.traceback and not sign.secondary else found
    if number is not None:
        detail = "ended by {}".format(signal_name(number))
        return _verdict(ending, states.FAILED, "signal", detail, {"source": "signal", "signal": number}, own)
    killed = _worker_signal(lines) if sign is not None and sign.secondary else None
    if killed is not None:
        line, worker = killed
        detail = "a worker process was ended by {}: {}".format(signal_name(worker), line.body.strip())
        return _verdict(ending, states.FAILED, "signal", detail, dict(_at("log", line), signal=worker), own)
    evidence = {"source": "exit", "exit_code": ending.exit_code}  # type: Dict[str, Any]
    if sign is not None and sign.traceback is not None:
        evidence.update(_at("exit", lines[sign.line]))
        detail = _error_text(own or tracebacks.told(sign.traceback))
    else:
        detail = "exit status {}".format(ending.exit_code)
        if lines:
            evidence.update(_at("exit", lines[-1]))
            detail += ", its last line: " + lines[-1].text
            if _NO_FLAG.search(lines[-1].text):
                detail += " (argparse takes what `override_style: flags` of the preset makes)"
    return _verdict(ending, states.FAILED, "nonzero_exit", detail, evidence, own)


def _verdict(
    ending: Ending,
    state: str,
    reason: str,
    detail: str,
    evidence: Dict[str, Any],
    traceback: Optional[Dict[str, Any]] = None,
) -> Verdict:
    if ending.oom_kills > 0:
        evidence = dict(evidence, oom_kills=ending.oom_kills)
    if reason == "disk_full" and ending.disk_free_bytes is not None:
        evidence = dict(evidence, disk_free_bytes=ending.disk_free_bytes)
    if ending.notes:
        evidence = dict(evidence, notes=[log_tail.shown(str(note), _DETAIL) for note in ending.notes])
    if traceback is not None:
        traceback = {
            key: log_tail.shown(value, _EVIDENCE_LINE) if isinstance(value, str) else value
            for key, value in traceback.items()
        }
    return Verdict(state, reason, log_tail.shown(detail, _DETAIL), evidence, traceback)


def _at(source: str, line: Line) -> Dict[str, Any]:
    return {"source": source, "line": log_tail.shown(line.text, _EVIDENCE_LINE), "offset": line.offset}


def _signal_of(ending: Ending) -> Optional[int]:
    if ending.signal is not None:
        return ending.signal
    code = ending.exit_code
    return code - 128 if code is not None and 128 < code < 128 + signals.NSIG else None


def _last_traceback(lines: List[Line]) -> Optional[Dict[str, Any]]:
    found = [one for one in tracebacks.find_tracebacks(lines) if not one.chain[-1].error.endswith("ChildFailedError")]
    own = [one for one in found if not MESSENGER.match("{}: {}".format(one.chain[-1].error, one.chain[-1].message))]
    last = (own or found)[-1:]
    return tracebacks.told(last[0]) if last else None


def _error_text(told: Dict[str, Any]) -> str:
    where = " ({}:{})".format(told["file"], told["line"]) if told["file"] else ""
    return "{}: {}{}".format(told["error"], told["message"], where) if told["message"] else told["error"] + where


def _worker_signal(lines: List[Line]) -> "Optional[Tuple[Line, int]]":
    for line in lines[-200:]:
        match = _WORKER_SIGNAL.search(line.body)
        if match is not None:
            return line, int(match.group(match.lastindex or 1))
    return None
