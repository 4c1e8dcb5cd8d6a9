"""What has been noted and not yet written: cheap to add to from the event loop, written by the history's thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from podops.fleet.find_run import is_another
from podops.fleet.snapshot import LogChunk, PodSnapshot, RunSnapshot
from podops.history.batch import Batch, LogKey, LogNote, PodNote, RunNote, SampleNote
from podops.history.record import LOG_TAIL_BYTES, RunKey
from podops.link.local_changes import asleep_s

#: Facts of a pod, figures of a run whose state stays, and a log that grows are written at most so often, seconds.
POD_S, RUN_S, LOG_S = 30.0, 10.0, 5.0

#: The end of a log that was written, and does not grow, is let go of after so long, seconds.
LOG_REST_S = 30.0

#: A list of runs comes in pieces; only after so long is a run that it lacks taken for gone, seconds.
_LISTED_S = 3.0

#: Most samples that wait to be written.
_MOST_SAMPLES = 20_000


class LogTail:
    """The last bytes of one log, as they went by."""

    def __init__(self) -> None:
        self.start = 0
        self.data = bytearray()
        self.complete = False
        self.changed = False
        self.heard_at = 0.0
        self.written_at: float | None = None

    def add(self, chunk: LogChunk) -> None:
        end = self.start + len(self.data)
        behind = chunk.offset + len(chunk.data) < end and chunk.offset < self.start
        if chunk.anew:
            self.complete = False
        if chunk.anew or chunk.offset > end or behind or not self.data:
            self.start, self.data = chunk.offset, bytearray(chunk.data)
        else:
            self.data += chunk.data[end - chunk.offset :]
        self.complete = self.complete or chunk.eof
        self.changed, self.heard_at = True, _moment()
        if len(self.data) > 2 * LOG_TAIL_BYTES:
            cut = len(self.data) - LOG_TAIL_BYTES
            self.start += cut
            del self.data[:cut]

    def is_due(self, now: float, last: bool) -> bool:
        waited = self.written_at is None or now - self.written_at >= LOG_S
        return (self.changed or self.written_at is None) and (last or self.complete or waited)

    def rests(self, now: float) -> bool:
        """Whether the file has it all, and will have for a while; what comes later is joined to it there."""
        return not self.changed and self.written_at is not None and now - self.written_at >= LOG_REST_S

    def take(self, now: float) -> LogNote:
        self.changed, self.written_at = False, now
        return LogNote(self.start, bytes(self.data), self.complete, _unix_time(self.heard_at))


@dataclass
class _Pod:
    """One pod: what it said last, and what of it was taken to be written when (monotonic seconds).

    `heard` is the moment of each run as it stands in `seen`, `list_heard` that of the list.
    """

    seen: PodSnapshot
    fresh: bool = True
    listed_at: float | None = None
    absent_told: bool = False
    facts_at: float | None = None
    runs: Mapping[str, RunSnapshot] = field(default_factory=dict)
    taken: dict[str, RunSnapshot] = field(default_factory=dict)
    taken_at: dict[str, float] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)
    list_heard: float = 0.0

    def hear(self, seen: PodSnapshot, before: Mapping[str, RunSnapshot]) -> list[RunSnapshot]:
        """`seen` is what it says now; `before` are the runs it told of till then. Those that were submitted anew."""
        self.seen, self.fresh = seen, True
        if seen.runs is before:
            return []
        now = self.list_heard = _moment()
        changed = {run_id: run for run_id, run in seen.runs.items() if run is not before.get(run_id)}
        self.heard = {run_id: now if run_id in changed else self.heard[run_id] for run_id in seen.runs}
        return [run for run_id, run in changed.items() if run_id in before and is_another(run, before[run_id])]

    def facts_due(self, now: float, last: bool) -> bool:
        return last or self.facts_at is None or now - self.facts_at >= POD_S

    def changed_runs(self, now: float, last: bool) -> list[RunNote]:
        """A new state at once; figures that come with every step now and then."""
        if self.seen.as_of is not None or not self.seen.listed or self.seen.runs is self.runs:
            return []
        changed: list[RunNote] = []
        left = False
        for run_id, run in self.seen.runs.items():
            old = self.taken.get(run_id)
            if run is old:
                continue
            new = old is None or old.state != run.state or is_another(run, old)
            if last or new or now - self.taken_at[run_id] >= RUN_S:
                changed.append(RunNote(run, _unix_time(self.heard[run_id])))
                self.taken[run_id], self.taken_at[run_id] = run, now
            else:
                left = True
        if not left:
            self.runs = self.seen.runs
        return changed

    def gone_runs(self) -> list[RunSnapshot]:
        if self.seen.as_of is not None or not self.seen.listed or len(self.taken) <= len(self.seen.runs):
            return []
        gone = [run for run_id, run in self.taken.items() if run_id not in self.seen.runs]
        for run in gone:
            del self.taken[run.run_id], self.taken_at[run.run_id]
        return gone

    def full_list(self, now: float) -> frozenset[str] | None:
        """Every run the pod has, once in a connection, when its list is surely whole."""
        if self.absent_told or self.seen.unlisted or self.listed_at is None or now - self.listed_at < _LISTED_S:
            return None
        self.absent_told = True
        return frozenset(self.seen.runs)


class Notes:
    """Of each pod by its identity. `take` hands over what is due; `put_back` undoes that when it was not written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pods: dict[str, _Pod] = {}
        self._samples: deque[SampleNote] = deque(maxlen=_MOST_SAMPLES)
        self._logs: dict[LogKey, LogTail] = {}
        self._summaries: dict[LogKey, Mapping[str, Any]] = {}
        self._attempts: dict[LogKey, bytes] = {}

    @property
    def logs_held(self) -> int:
        """Of how many logs the end is in memory."""
        return len(self._logs)

    def pod(self, identity: str, seen: PodSnapshot) -> None:
        with self._lock:
            known = self._pods.get(identity)
            if known is None:
                known = self._pods[identity] = _Pod(seen)
                new_sample = seen.sample is not None
                known.hear(seen, {})
            else:
                new_sample = seen.sample is not None and seen.sample is not known.seen.sample
                for run in known.hear(seen, known.seen.runs):
                    # What waits to be written is of the run before.
                    for noted in (self._logs, self._summaries, self._attempts):
                        noted.pop((identity, (run.project, run.run_id)), None)
            if seen.listed and seen.as_of is None and known.listed_at is None:
                known.listed_at = time.monotonic()
            if new_sample:
                self._samples.append((identity, int(seen.last_seen or time.time()), seen))

    def log(self, identity: str, run: RunKey, chunk: LogChunk) -> None:
        with self._lock:
            self._logs.setdefault((identity, run), LogTail()).add(chunk)

    def summary(self, identity: str, run: RunKey, summary: Mapping[str, Any]) -> None:
        with self._lock:
            self._summaries[identity, run] = summary

    def attempts(self, identity: str, run: RunKey, data: bytes) -> None:
        with self._lock:
            self._attempts[identity, run] = data

    def take(self, *, last: bool = False) -> Batch:
        """What is due; `last`: everything there is."""
        now = time.monotonic()
        with self._lock:
            batch = Batch(samples=list(self._samples), summaries=dict(self._summaries), attempts=dict(self._attempts))
            for taken in (self._samples, self._summaries, self._attempts):
                taken.clear()
            for identity, pod in self._pods.items():
                if pod.fresh or last:
                    batch.pods.append(_taken(identity, pod, now, last))
            for key, tail in list(self._logs.items()):
                if tail.is_due(now, last):
                    batch.logs[key] = tail.take(now)
                elif tail.rests(now):
                    del self._logs[key]
        return batch

    def put_back(self, batch: Batch) -> None:
        with self._lock:
            self._samples.extendleft(reversed(batch.samples))
            self._summaries = {**batch.summaries, **self._summaries}
            self._attempts = {**batch.attempts, **self._attempts}
            for key in batch.logs:
                if key in self._logs:
                    self._logs[key].written_at = None
            for pod in self._pods.values():
                pod.facts_at, pod.fresh, pod.absent_told = None, True, False
                pod.runs, pod.taken, pod.taken_at = {}, {}, {}


def _taken(identity: str, pod: _Pod, now: float, last: bool) -> PodNote:
    facts = pod.facts_due(now, last)
    if facts:
        pod.facts_at = now
    # First what has come: what has gone is told by there being more than the pod has now.
    changed = pod.changed_runs(now, last)
    gone = [(run.project, run.run_id) for run in pod.gone_runs()]
    note = PodNote(identity, pod.seen, facts, changed, gone, pod.full_list(now), _unix_time(pod.list_heard))
    pod.fresh = pod.runs is not pod.seen.runs or (pod.listed_at is not None and not pod.absent_told)
    return note


def _moment() -> float:
    """Now, by a clock that nobody sets and that goes on while this machine sleeps, seconds."""
    return time.monotonic() + asleep_s()


def _unix_time(moment: float) -> float:
    return time.time() - (_moment() - moment)
