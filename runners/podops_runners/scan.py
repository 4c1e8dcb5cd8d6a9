"""The run list of a pod: every run directory under the outputs roots, read cheaply again and again."""

import os
import re
import stat
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from podops_runners import process, queue_view, records, states, waiting
from podops_runners.derive import Evidence, derive_state, lost_because
from podops_runners.record_cache import RecordCache
from podops_runners.rundir import COMMAND, PRIVATE, SPEC, STDOUT_LOG, Layout, RunDir
from podops_runners.runfiles import parse_heartbeat
from podops_runners.runid import is_valid_run_id
from podops_runners.wire_cache import WireCache

#: Ended runs are looked at again this often, seconds: nothing in them changes, but a person may delete one.
_RECHECK_S = 15.0

#: Records that were not looked at for so long are forgotten, seconds.
_FORGET_S = 4 * _RECHECK_S

#: Longest command or detail in a run list, characters; the records hold them whole.
_LONG = 4000

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\Z", re.ASCII)


class Project(NamedTuple):
    """One outputs root a client asked about."""

    name: str
    outputs_dir: str
    layout: Layout


class Scanner:
    """Remembers what it saw, so that a thousand ended runs cost one directory listing."""

    def __init__(self, projects: List[Project]) -> None:
        self.projects = projects
        self._machine = process.machine_id()
        self._boot = process.boot_id()
        self._ended: Dict[Tuple[str, str], Tuple[float, Dict[str, Any]]] = {}
        self._resting = WireCache(_RECHECK_S)
        self._found: Dict[Tuple[str, str], Dict[str, Any]] = {}
        self.problems: Dict[str, str] = {}
        self._records = RecordCache()
        self._forgot_at = time.monotonic()
        self._queue = queue_view.QueueView(self._records)

    def scan(self) -> Dict[Tuple[str, str], Dict[str, Any]]:
        """Wire runs by `(project, run_id)`. Never raises.

        A root that cannot be listed keeps the runs it had, and `problems` tells why, by project.
        """
        found: Dict[Tuple[str, str], Dict[str, Any]] = {}
        self.problems = {}
        self._queue.refresh()
        for project in self.projects:
            try:
                for run_id in _run_ids(project.outputs_dir):
                    found[(project.name, run_id)] = self.one(project, run_id)
            except OSError as error:
                known = {key: run for key, run in self._found.items() if key[0] == project.name}
                # A root that was never there has no runs; hello tells when it will not be made.
                if known or not isinstance(error, FileNotFoundError):
                    why = "the outputs root {} cannot be read: {}".format(project.outputs_dir, error.strerror)
                    self.problems[project.name] = why
                found.update(known)
        for key in set(self._found) - set(found):
            self._resting.forget(key)
        self._found = found
        self._ended = {key: entry for key, entry in self._ended.items() if key in found}
        if time.monotonic() - self._forgot_at >= _FORGET_S:
            self._forgot_at = time.monotonic()
            self._records.forget_the_rest()
        return found

    def one(self, project: Project, run_id: str) -> Dict[str, Any]:
        """The wire run of one directory, at most `_RECHECK_S` old when it has ended."""
        key = (project.name, run_id)
        known = self._ended.get(key)
        now = time.monotonic()
        if known is not None and now - known[0] < _RECHECK_S:
            return known[1]
        resting = self._resting.get(key)
        if resting is not None:
            run_dir, kept = resting
            return dict(kept, **self._queue.of(run_dir, {}, kept["state"], self._machine, time.time()))
        try:
            run = self._read(project, run_id)
        except Exception as error:  # whatever stands in one directory, the others must still be shown
            run = {"run_id": run_id, "project": project.name, "state": states.LOST, "reason": "unknown"}
            run["problems"] = ["its directory cannot be read: {}".format(error)]
        if run["state"] in states.ENDED:
            self._ended[key] = (now, run)
        if run["state"] in (states.QUEUED, states.HELD):
            self._resting.keep(key, RunDir(os.path.join(project.outputs_dir, run_id), project.layout), run)
        else:
            self._resting.forget(key)
        return run

    def _read(self, project: Project, run_id: str) -> Dict[str, Any]:
        run = RunDir(os.path.join(project.outputs_dir, run_id), project.layout)
        problems: List[str] = []
        summary = self._record(run.summary, problems)
        spec = self._record(run.spec, problems) or {}
        metadata = self._record(run.metadata, problems) or {}
        claim = self._record(run.claim, problems)
        line, beat_time = _heartbeat(run.heartbeat)
        beat = parse_heartbeat(line)
        now = time.time()
        seen = self._evidence(run, spec, summary, claim, beat, beat_time, now)
        state, reason = derive_state(seen)
        if not spec:
            problems.append("it has no {}: made by hand, or its submit was cut off".format(SPEC))
        missing = _texts((summary or {}).get("missing_artifacts"))
        problems.extend(_texts((summary or metadata).get("warnings")) or _texts(metadata.get("warnings")))
        problems.extend("required file {} is missing".format(name) for name in missing)
        wire = _from_records(run, spec, metadata, summary or {})
        wire.update(_times(spec, metadata, summary or {}, claim, now, state))
        wire.update(
            project=project.name,
            state=state,
            reason=reason,
            owned=seen.own_machine,
            heartbeat_line=line,
            heartbeat_time=beat_time,
            heartbeat_age_s=None if beat_time is None else max(0.0, now - beat_time),
            phase=beat.get("phase", "") if state in states.ACTIVE else "",
            stalled=beat.get("stalled") == "1" and state in states.ACTIVE,
            step=_whole(beat.get("step")),
            total_steps=_whole(beat.get("total")),
            problems=problems,
        )
        if wire["phase"] in ("loading", "unhealthy") and beat.get("health"):
            wire["detail"] = "its health check says: " + beat["health"].replace("_", " ")
        if state not in states.ENDED:
            age = 0.0 if beat_time is None else max(0.0, now - beat_time)
            active = beat if state in states.ACTIVE else {}
            wire.update(queue_view.attempts(run, spec, wire["attempt"], active, age))
        if state in (states.QUEUED, states.HELD):
            wire.update(self._queue.of(run, spec, state, self._machine, now))
        elif state == states.LOST:
            wire["detail"] = lost_because(seen)
        if claim is not None:
            gpus = claim.get("gpus")
            wire.update(gpus=[index for index in gpus if isinstance(index, int)] if isinstance(gpus, list) else [])
        wire.update(_log(run.stdout_log, now))
        wire["metrics"] = _metrics(run.metrics, summary)
        if wire["step"] is None:  # the last heartbeat of a run that has ended tells none
            wire["step"] = _whole(wire["metrics"].get("step"))
        return wire

    def _evidence(
        self,
        run: RunDir,
        spec: Dict[str, Any],
        summary: Optional[Dict[str, Any]],
        claim: Optional[Dict[str, Any]],
        beat: Dict[str, str],
        beat_time: Optional[float],
        now: float,
    ) -> Evidence:
        own = claim is None or claim.get("machine_id") == self._machine
        interval = _number(spec.get("watch_interval_s")) or _number(beat.get("interval")) or 20.0
        submitted = _mtime(run.spec)
        return Evidence(
            summary=summary,
            summary_broken=summary is None and os.path.exists(run.summary),
            held=waiting.is_held(run),
            claim=claim,
            claim_age_s=_age(_mtime(run.claim), now),
            queued=claim is None and os.path.exists(run.ticket),
            shim_alive=claim is not None and own and process.is_alive((self._child(run) or {}).get("shim")),
            kill_requested=os.path.exists(run.kill_request),
            heartbeat_age_s=None if beat_time is None else now - beat_time,
            interval_s=interval,
            own_machine=own,
            same_boot=claim is None or claim.get("boot_id") == self._boot,
            supervisor_alive=claim is not None and own and process.is_alive(claim.get("supervisor")),
            child_alive=claim is not None and own and process.is_alive(claim.get("child")),
            has_spec=bool(spec),
            submitted_age_s=None if submitted is None else now - submitted,
        )

    def _child(self, run: RunDir) -> Optional[Dict[str, Any]]:
        return self._records.read(run.child)[0]

    def _record(self, path: str, problems: List[str]) -> Optional[Dict[str, Any]]:
        record, problem = self._records.read(path)
        if problem:
            problems.append(problem)
        return record


def _run_ids(root: str) -> List[str]:
    """Directories that hold anything a run leaves behind."""
    names = []
    with os.scandir(root) as entries:
        for entry in entries:
            if is_valid_run_id(entry.name) and _is_folder(entry):
                names.append(entry.name)
    return [name for name in names if _looks_like_a_run(os.path.join(root, name))]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say: nothing to show, and no reason to show none of the others
        return False


def _looks_like_a_run(path: str) -> bool:
    marks = (SPEC, STDOUT_LOG, COMMAND, PRIVATE, "run_metadata.json", "summary.json")
    return any(os.path.exists(os.path.join(path, mark)) for mark in marks)


def _from_records(
    run: RunDir, spec: Dict[str, Any], metadata: Dict[str, Any], summary: Dict[str, Any]
) -> Dict[str, Any]:
    tmux = _dict(metadata.get("tmux"))
    service = _dict(spec.get("service"))
    wandb = _dict(_dict(summary.get("tracking")).get("wandb")).get("url")
    port = _whole(_dict(metadata.get("endpoint")).get("port")) or _whole(service.get("port"))
    return {
        "run_id": run.run_id,
        "preset": spec.get("preset") or metadata.get("preset") or "",
        "kind": spec.get("kind") or metadata.get("kind") or "",
        "detail": str(summary.get("detail") or "")[:_LONG],
        "endpoint": "http://127.0.0.1:{}".format(port) if port else "",
        "run_dir": run.path,
        "session": tmux.get("session"),
        "command": str(spec.get("command") or "")[:_LONG],
        "gpus": [],
        "asked_gpus": queue_view.asked_gpus(spec),
        "tags": _texts(spec.get("tags")),
        "exit_code": summary.get("exit_code"),
        "signal": summary.get("signal"),
        "attempt": _whole(metadata.get("attempt")) or 1,
        "user": spec.get("user") or metadata.get("user") or "",
        "tracking": {"wandb": wandb} if isinstance(wandb, str) else {},
    }


def _times(
    spec: Dict[str, Any],
    metadata: Dict[str, Any],
    summary: Dict[str, Any],
    claim: Optional[Dict[str, Any]],
    now: float,
    state: str,
) -> Dict[str, Any]:
    created = _moment(spec.get("created_at") or metadata.get("created"))
    started = _number(summary.get("started")) or _moment(summary.get("started_at")) or _moment(metadata.get("started"))
    ended = _number(summary.get("ended")) or _moment(summary.get("ended_at"))
    elapsed = _number(summary.get("elapsed_s"))
    if elapsed is None and started is not None and state in states.ACTIVE:
        elapsed = max(0.0, now - started)
    return {"created_at": created, "started_at": started, "ended_at": ended, "elapsed_s": elapsed}


def _heartbeat(path: str) -> Tuple[str, Optional[float]]:
    try:
        with open(path, "rb", opener=records.regular_file) as stream:
            line = stream.read(2000).decode("utf-8", "replace").strip()
            return line, os.fstat(stream.fileno()).st_mtime
    except OSError:
        return "", None


def _log(path: str, now: float) -> Dict[str, Any]:
    try:
        info = os.stat(path)
    except OSError:
        return {"log_bytes": 0, "log_age_s": None}
    return {"log_bytes": info.st_size, "log_age_s": max(0.0, now - info.st_mtime)}


def _metrics(path: str, summary: Optional[Dict[str, Any]]) -> Dict[str, float]:
    """The last value of each metric in the end of the file."""
    last: Dict[str, float] = {}
    stored = _dict((summary or {}).get("last_metrics"))
    for record in [stored] + records.last_lines(path):
        for name, value in record.items():
            if name != "time" and isinstance(value, (int, float)) and not isinstance(value, bool):
                number = _number(value)
                if number is not None:
                    last[str(name)] = number
    return last


def _age(moment: Optional[float], now: float) -> float:
    return 0.0 if moment is None else now - moment


def _mtime(path: str) -> Optional[float]:
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info.st_mtime if stat.S_ISREG(info.st_mode) else None


def _dict(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> List[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _whole(value: Any) -> Optional[int]:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _number(value: Any) -> Optional[float]:
    try:
        return float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _moment(text: Any) -> Optional[float]:
    """Unix time of `2026-11-21T02:17:09Z`; `None` for anything else."""
    # By hand, because strptime takes a third of the time that all of a run takes.
    match = _MOMENT.match(text) if isinstance(text, str) else None
    try:
        return None if match is None else _unix_time(*(int(part) for part in match.groups()))
    except ValueError:
        return None


def _unix_time(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float:
    """As `calendar.timegm`, which would bring `datetime` along. Raises `ValueError` for a month there is not."""
    if not 1 <= month <= 12:
        raise ValueError("no month {}".format(month))
    # The year begins in March, so that the odd day of a leap year is its last.
    years, months = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = years * 365 + years // 4 - years // 100 + years // 400 + (153 * months + 2) // 5 + day - 719469
    return float(((days * 24 + hour) * 60 + minute) * 60 + second)
