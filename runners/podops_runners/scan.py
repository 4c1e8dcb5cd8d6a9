"""The run list of a pod: every run directory under the outputs roots, read cheaply again and again."""

import os
import stat
import time

from podops_runners import (
    at_work,
    last_metrics,
    machine,
    process,
    queue_view,
    record_facts,
    run_trouble,
    states,
    waiting,
)
from podops_runners.derive import Evidence, derive_state, lost_because
from podops_runners.last_metrics import LastMetrics
from podops_runners.metric_value import json_safe
from podops_runners.open_cache import OpenCache
from podops_runners.record_cache import RecordCache
from podops_runners.record_facts import Record, RecordFacts, number, texts, whole
from podops_runners.rundir import COMMAND, PRIVATE, SPEC, STDOUT_LOG, Layout, RunDir
from podops_runners.runfiles import parse_heartbeat
from podops_runners.runid import is_valid_run_id
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional, Tuple
from podops_runners.wire_cache import Key, WireCache

#: Ended runs are looked at again this often, seconds: nothing in them changes, but a person may delete one. Whoever
#: submits one anew wakes the agent of its machine.
_RECHECK_S = 15.0

#: No volume tells the time of a change more coarsely, seconds.
_TICK_S = 2.0

#: Records that were not looked at for so long are forgotten, seconds.
_FORGET_S = 4 * _RECHECK_S

#: A heartbeat and what it says.
Heartbeat = Tuple[str, Dict[str, str]]


class Project(NamedTuple):
    """One outputs root a client asked about."""

    name: str
    outputs_dir: str
    layout: Layout


class _Ended(NamedTuple):
    """`read_at` is monotonic; `mark` is when the directory had changed last, `None` where that was a moment ago."""

    read_at: float
    mark: Optional[int]
    wire: Dict[str, Any]


class Scanner:
    """Remembers what it saw, so that a thousand ended runs cost one directory listing."""

    def __init__(self, projects: List[Project]) -> None:
        self.projects = projects
        self._machine = process.machine_id()
        self._boot = process.boot_id()
        self._ended: Dict[Key, _Ended] = {}
        self._woken_at: Optional[int] = None
        self._resting = WireCache(_RECHECK_S)
        self._found: Dict[Key, Dict[str, Any]] = {}
        self.problems: Dict[str, str] = {}
        self._records = RecordCache()
        self._facts: Dict[str, RecordFacts] = {}
        self._heartbeats: OpenCache[Heartbeat] = OpenCache(_taken_heartbeat)
        self._metrics: OpenCache[LastMetrics] = OpenCache(last_metrics.take)
        self._forgot_at = time.monotonic()
        self._queue = queue_view.QueueView(self._records)

    def scan(self) -> Dict[Key, Dict[str, Any]]:
        """Wire runs by `(project, run_id)`. Never raises.

        A root that cannot be listed keeps the runs it had, and `problems` tells why, by project.
        """
        found: Dict[Key, Dict[str, Any]] = {}
        self.problems = {}
        self._queue.refresh()
        if self._woken():
            self._ended = {key: known for key, known in self._ended.items() if self._is_same(key, known)}
        for project in self.projects:
            try:
                for run_id in _run_ids(project.outputs_dir):
                    key = (project.name, run_id)
                    if self._rests(key) or _looks_like_a_run(os.path.join(project.outputs_dir, run_id)):
                        found[key] = self.one(project, run_id)
            except OSError as error:
                known = {key: run for key, run in self._found.items() if key[0] == project.name}
                # A root that was never there has no runs; hello tells when it will not be made.
                if known or not isinstance(error, FileNotFoundError):
                    why = "the outputs root {} cannot be read: {}".format(project.outputs_dir, error.strerror)
                    self.problems[project.name] = why
                found.update(known)
            found.update(self._at_work(project, found))
        for key in set(self._found) - set(found):
            self._resting.forget(key)
        self._found = found
        self._ended = {key: entry for key, entry in self._ended.items() if key in found}
        if time.monotonic() - self._forgot_at >= _FORGET_S:
            self._forget(found)
        return found

    def _woken(self) -> bool:
        """Whether somebody may have changed a run of this machine since the last look, through whichever link."""
        try:
            before, self._woken_at = self._woken_at, os.stat(machine.path_of("wake")).st_mtime_ns
        except OSError:
            return False
        # Of two changes within one tick of the clock, the second cannot be seen.
        return self._woken_at != before or abs(time.time() - self._woken_at / 1e9) < _TICK_S

    def _is_same(self, key: Key, known: _Ended) -> bool:
        return known.mark is not None and known.mark == self._mark(key)

    def _mark(self, key: Key) -> Optional[int]:
        """When an entry of the run's directory was last made, replaced or taken away; `None` when just now."""
        root = next(project.outputs_dir for project in self.projects if project.name == key[0])
        try:
            changed = os.stat(os.path.join(root, key[1])).st_mtime_ns
        except OSError:
            return None
        return changed if abs(time.time() - changed / 1e9) > _TICK_S else None

    def _at_work(self, project: Project, found: Dict[Key, Dict[str, Any]]) -> Dict[Key, Dict[str, Any]]:
        """Runs that go on though their directory is gone."""
        runs = at_work.run_ids(project.outputs_dir)
        lost = (
            (run_id, os.path.join(project.outputs_dir, run_id))
            for run_id in runs
            if (project.name, run_id) not in found
        )
        told = ((run_id, at_work.told(path)) for run_id, path in lost if at_work.lives_on(path))
        return {(project.name, run_id): run for run_id, run in told}

    def _forget(self, found: Dict[Key, Dict[str, Any]]) -> None:
        """Keep nothing of what has gone."""
        self._forgot_at = time.monotonic()
        for cache in (self._records, self._heartbeats, self._metrics):
            cache.forget_the_rest()
        paths = {run.get("run_dir") for run in found.values()}
        self._facts = {path: facts for path, facts in self._facts.items() if path in paths}

    def one(self, project: Project, run_id: str) -> Dict[str, Any]:
        """The wire run of one directory, at most `_RECHECK_S` old when it has ended."""
        key = (project.name, run_id)
        if self._rests(key):
            return self._ended[key].wire
        resting = self._resting.get(key)
        if resting is not None:
            run_dir, kept = resting
            return dict(kept, **self._queue.of(run_dir, {}, kept["state"], self._machine, time.time()))
        mark = self._mark(key)
        try:
            run = self._read(project, run_id)
        except Exception as error:  # whatever stands in one directory, the others must still be shown
            run = {"run_id": run_id, "project": project.name, "state": states.LOST, "reason": "unknown"}
            run["problems"] = ["its directory cannot be read: {}".format(error)]
        if run["state"] in states.ENDED:
            self._ended[key] = _Ended(time.monotonic(), mark, run)
        if run["state"] in (states.QUEUED, states.HELD):
            self._resting.keep(key, RunDir(os.path.join(project.outputs_dir, run_id), project.layout), run)
        else:
            self._resting.forget(key)
        return run

    def _rests(self, key: Key) -> bool:
        """Whether it has ended, and that was seen a short time ago."""
        known = self._ended.get(key)
        return known is not None and time.monotonic() - known.read_at < _RECHECK_S

    def _read(self, project: Project, run_id: str) -> Dict[str, Any]:
        run = RunDir(os.path.join(project.outputs_dir, run_id), project.layout)
        problems: List[str] = []
        summary = self._record(run.summary, problems)
        broken = bool(problems)
        spec = self._record(run.spec, problems)
        metadata = self._record(run.metadata, problems)
        claim = self._record(run.claim, problems)
        facts = self._facts_of(run, spec, metadata, summary)
        line, beat = self._heartbeats.look(run.heartbeat) or ("", {})
        beat_time = self._heartbeats.moment(run.heartbeat)
        now = time.time()
        seen = self._evidence(run, spec, summary, claim, beat, beat_time, now, broken)
        state, reason = derive_state(seen)
        if not spec and not os.access(run.path, os.R_OK | os.X_OK):
            raise PermissionError("Permission denied")
        if spec is None and not seen.spec_broken:
            problems.append("it has no {}: made by hand, or its submit was cut off".format(SPEC))
        missing = texts((summary or {}).get("missing_artifacts"))
        problems.extend(texts((summary or metadata or {}).get("warnings")) or texts((metadata or {}).get("warnings")))
        problems.extend("required file {} is missing".format(name) for name in missing)
        active = state in states.ACTIVE
        if active:
            problems.extend(_trouble(run, claim, beat, seen.own_machine))
        wire = dict(
            facts.wire,
            project=project.name,
            state=state,
            reason=reason,
            owned=seen.own_machine,
            problems=problems,
            **_told_by(line, beat, None if beat_time is None else max(0.0, now - beat_time), active),
        )
        wire["heartbeat_time"] = beat_time
        if active and wire["elapsed_s"] is None and wire["started_at"] is not None:
            wire["elapsed_s"] = max(0.0, now - wire["started_at"])
        if wire["phase"] in ("loading", "unhealthy") and beat.get("health"):
            wire["detail"] = "its health check says: " + beat["health"].replace("_", " ")
        if state not in states.ENDED:
            age = wire["heartbeat_age_s"] or 0.0
            wire.update(queue_view.attempts(run, wire["attempt"], beat if active else {}, age))
        if state in (states.QUEUED, states.HELD):
            wire.update(self._queue.of(run, spec or {}, state, self._machine, now))
        elif state == states.LOST:
            wire["detail"] = lost_because(seen)
        if claim is not None:
            gpus = claim.get("gpus")
            wire.update(gpus=[index for index in gpus if isinstance(index, int)] if isinstance(gpus, list) else [])
        wire.update(_log(run.stdout_log, now))
        metrics = self._metrics_of(run, summary)
        wire["metrics"] = json_safe(metrics)
        if wire["step"] is None or self._is_newer(run, beat_time):
            wire.update(_step_of(metrics, wire["total_steps"], 0 if beat.get("epoch_from") == "0" else 1))
        return wire

    def _facts_of(self, run: RunDir, spec: Record, metadata: Record, summary: Record) -> RecordFacts:
        facts = self._facts.get(run.path)
        if facts is None or not facts.are_of(spec, metadata, summary):
            facts = self._facts[run.path] = record_facts.of(run, spec, metadata, summary)
        return facts

    def _metrics_of(self, run: RunDir, summary: Record) -> Dict[str, float]:
        """The last value of each metric in the end of the file, else as the summary has it."""
        last = self._metrics.look(run.metrics)
        stored = last_metrics.numbers((summary or {}).get("last_metrics"))
        stored.update(last.values if last is not None else {})
        return stored

    def _is_newer(self, run: RunDir, beat_time: Optional[float]) -> bool:
        """Whether the metrics tell of a step after the heartbeat did: those that a run writes may count others."""
        written = self._metrics.moment(run.metrics)
        return written is not None and written > (beat_time or 0.0) and os.path.exists(run.scraped)

    def _evidence(
        self,
        run: RunDir,
        spec: Record,
        summary: Record,
        claim: Record,
        beat: Dict[str, str],
        beat_time: Optional[float],
        now: float,
        summary_broken: bool,
    ) -> Evidence:
        own = claim is None or claim.get("machine_id") == self._machine
        interval = number((spec or {}).get("watch_interval_s")) or number(beat.get("interval")) or 20.0
        # Of a run that was not claimed yet other files tell than of one that was.
        free = claim is None
        return Evidence(
            summary=summary,
            summary_broken=summary_broken,
            held=free and waiting.is_held(run),
            claim=claim,
            claim_age_s=0.0 if free else _age(run.claim, now) or 0.0,
            queued=free and os.path.exists(run.ticket),
            kill_requested=not free and os.path.exists(run.kill_request),
            heartbeat_age_s=None if beat_time is None else now - beat_time,
            interval_s=interval,
            own_machine=own,
            same_boot=claim is None or claim.get("boot_id") == self._boot,
            worked_on=own and self._is_worked_on(run, claim),
            has_spec=bool(spec),
            spec_broken=spec is None and os.path.lexists(run.spec),
            submitted_age_s=_age(run.spec, now) if free else None,
        )

    def _is_worked_on(self, run: RunDir, claim: Record) -> bool:
        """Whether any of the processes that a claim of this machine names is there."""
        if claim is None:
            return False
        if process.is_alive(claim.get("supervisor")) or process.is_alive(claim.get("child")):
            return True
        return process.is_alive((self._records.read(run.child)[0] or {}).get("shim"))

    def _record(self, path: str, problems: List[str]) -> Optional[Dict[str, Any]]:
        record, problem = self._records.read(path)
        if problem:
            problems.append(problem)
        return record


def _run_ids(root: str) -> List[str]:
    """Directories that may be runs."""
    with os.scandir(root) as entries:
        return [entry.name for entry in entries if is_valid_run_id(entry.name) and _is_folder(entry)]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say: nothing to show, and no reason to show none of the others
        return False


def _looks_like_a_run(path: str) -> bool:
    """Whether it holds anything a run leaves behind, or cannot be looked into."""
    marks = (SPEC, STDOUT_LOG, COMMAND, PRIVATE, "run_metadata.json", "summary.json")
    found = any(os.path.exists(os.path.join(path, mark)) for mark in marks)
    # Better something that is no run than a run that nobody is told of.
    return found or not os.access(path, os.R_OK | os.X_OK)


def _taken_heartbeat(descriptor: int, _size: int, _before: Optional[Heartbeat]) -> Heartbeat:
    line = os.pread(descriptor, 2000, 0).decode("utf-8", "replace").strip()
    return line, parse_heartbeat(line)


def _trouble(run: RunDir, claim: Record, beat: Dict[str, str], own: bool) -> List[str]:
    """Why what this run tells, its end above all, is not recorded now."""
    told = run_trouble.by_heartbeat(beat)
    if told is None and own and claim is not None and not process.is_alive(claim.get("child")):
        # A volume that is read-only takes no heartbeat either.
        told = at_work.trouble_of(run.path)
    return [] if told is None else [told]


def _told_by(line: str, beat: Dict[str, str], age_s: Optional[float], active: bool) -> Dict[str, Any]:
    """What the heartbeat says of a run: `beat` is its `line` in parts, of an age in seconds."""
    left = number(beat.get("left")) if active else None
    return {
        "heartbeat_line": line,
        "heartbeat_age_s": age_s,
        "phase": beat.get("phase", "") if active else "",
        "stalled": beat.get("stalled") == "1" and active,
        "step": whole(beat.get("step")),
        "total_steps": whole(beat.get("total")),
        "total_is_part": beat.get("part") == "1",
        "epoch": whole(beat.get("epoch")),
        "epochs": whole(beat.get("epochs")),
        "left_s": None if left is None else max(0.0, left - (age_s or 0.0)),
    }


def _step_of(metrics: Dict[str, float], total: Optional[int], epoch_from: int) -> Dict[str, Any]:
    """The step, and the epoch it is one of; nothing where it is none of those the heartbeat has the total of.

    `epoch_from`: what the first epoch is called in the metrics.
    """
    step, epoch = whole(metrics.get("step")), whole(metrics.get("epoch"))
    if step is None or (total is not None and step > total):
        return {}
    return {"step": step} if epoch is None else {"step": step, "epoch": epoch + 1 - epoch_from}


def _log(path: str, now: float) -> Dict[str, Any]:
    try:
        info = os.stat(path)
    except OSError:
        return {"log_bytes": 0, "log_age_s": None}
    return {"log_bytes": info.st_size, "log_age_s": max(0.0, now - info.st_mtime)}


def _age(path: str, now: float) -> Optional[float]:
    """How long ago a regular file was written, seconds."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return now - info.st_mtime if stat.S_ISREG(info.st_mode) else None
