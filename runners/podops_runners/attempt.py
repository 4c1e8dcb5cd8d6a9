"""One attempt of a run: its child watched from start to end, its policies enforced."""

import os
import signal
import time

from podops_runners import at_work, cgroup, end_facts, log_limit, process, states
from podops_runners.asked_to_stop import CTRL_C, SENT_SIGTERM, with_the_child
from podops_runners.journal import Journal
from podops_runners.log_breaker import LogBreaker
from podops_runners.log_guard import LogGuard
from podops_runners.output import Output
from podops_runners.policies import Policies
from podops_runners.presence import Presence
from podops_runners.records import number
from podops_runners.rundir import RunDir
from podops_runners.runfiles import parse_heartbeat
from podops_runners.service import HealthProbe
from podops_runners.shim import AdoptedChild, Beginning, Child
from podops_runners.signal_inbox import SignalInbox
from podops_runners.stop import GracefulStop
from podops_runners.typed import Any, Callable, Dict, List, NamedTuple, Optional, Set, Union

#: How long we sleep at most between two looks at log, kill request and clock, seconds.
_TICK_S, _KILL_LOOK_S, _SERVICE_LOOK_S = 0.25, 1.0, 1.0

#: So many probes in a row must fail before a service that was ready counts as unhealthy.
_UNHEALTHY_AFTER = 3

_PHASES = ("loading", "ready", "unhealthy")

#: A log is warned about at this share of its limit.
_WARN_AT = 0.8

#: How long the end of an attempt waits for a volume that has gone, seconds.
_VOLUME_S = 24 * 3600.0

#: The pace of a run is none before that, seconds.
_SETTLED_S = 5.0


class Ended(NamedTuple):
    """How an attempt ended. `status` is the child's wait status; `None` when nobody knows it."""

    status: Optional[int]
    #: Why it was ended by us; `None` when it ended by itself.
    cause: Optional[str]
    detail: str
    started: float
    ended: float
    log_start: int
    log_end: int
    oom_kills: int


class Attempt:
    """Watches one child. Trouble with our own records never ends it."""

    def __init__(
        self,
        run: RunDir,
        spec: Dict[str, Any],
        policies: Policies,
        child: Union[Child, AdoptedChild],
        journal: Journal,
        inbox: SignalInbox,
        presence: Presence,
        facts: Callable[[], Dict[str, Any]],
        breaker: Optional[LogBreaker] = None,
    ) -> None:
        self._run = run
        self._spec = spec
        self._policies = policies
        self._child = child
        self._journal = journal
        self._inbox = inbox
        self._facts = facts
        self._beginning = child.beginning
        self._presence = presence
        # What ran before an adoption counts towards the timeout. The clock on the wall could be set meanwhile.
        before = process.age_s(child.identity) if child.adopted and child.identity else 0.0
        self._clock = time.monotonic() - before
        told = _last_beat(run) if child.adopted else None
        self._output = Output(run, spec, child.beginning.log_start, journal.keep_here, told)
        self._stop: Optional[GracefulStop] = None
        self._cause: Optional[str] = None
        self._detail = ""
        self._stalled = False
        self._nan_told = False
        self._progress_told: Set[str] = set()
        self._breaker = breaker
        frees = policies.max_log_bytes and not breaker
        self._guard = LogGuard(run.stdout_log, policies.max_log_bytes or 0) if frees else None
        self._log_warned = False
        self._freed_to = 0
        self._phase = ""
        if spec.get("service"):
            self._phase = _last_phase(told or {}) or "loading"
        self._probe: Optional[HealthProbe] = None
        self._bad_probes, self._unwell = 0, ""
        self._interval = number(spec.get("watch_interval_s")) or 20.0
        self._next_look = self._next_beat = self._next_probe = self._next_kill_look = 0.0

    @property
    def output(self) -> Output:
        return self._output

    @property
    def killed_by_user(self) -> bool:
        return self._cause == "user_kill"

    def watch(self) -> Ended:
        """Return when the child has ended and its output has been read."""
        status = self._child.status()
        while status is None and not self._child.vanished():
            self._wait_and_look()
            status = self._child.status()
        status = self._child.status() if status is None else status
        # Before anything is waited for: what comes later has not ended it.
        going = self._stop is None and with_the_child(self._inbox, end_facts.outcome(status)[1])
        told = self._child.ended()
        ended = time.time() if told is None else told
        self._end_if_too_large(time.monotonic())
        for watching in (self._probe, self._guard, self._breaker):
            if watching is not None:
                watching.close()
        self._await_volume(status)
        self._output.read_to_end()
        cause = self._cause if self._stop and self._stop.last_signal is not None else None
        if going and not os.path.exists(self._run.kill_request):
            cause, self._detail = "preempted", SENT_SIGTERM
        GracefulStop(0, self._run.path, 0, 0).finish()
        oom_kills = max(0, (cgroup.oom_kills() or 0) - self._beginning.oom_kills)
        return Ended(
            status,
            cause,
            self._detail if cause else "",
            self._beginning.time,
            ended,
            self._beginning.log_start,
            log_size(self._run),
            oom_kills,
        )

    def _await_volume(self, status: Optional[int]) -> None:
        """Nothing can be judged or recorded while the log cannot be found."""
        deadline = time.monotonic() + _VOLUME_S
        while not (self._presence.is_there() or self._presence.is_deleted()) and time.monotonic() < deadline:
            at_work.note_end(self._run.path, "its process has ended" + end_facts.told(status))
            self._inbox.wait(1.0)

    def _wait_and_look(self) -> None:
        """At the log's size as soon as that must be, at everything else in its time."""
        guard, pause = self._guard, self._next_look - time.monotonic()
        if guard is None:
            woken = self._inbox.wait(pause)
        else:
            woken = self._inbox.wait(min(pause, guard.pause_s), guard.descriptor())
            self._watch_log_size(guard, time.monotonic())
        now = time.monotonic()
        if woken or now >= self._next_look:
            self._next_look = now + _TICK_S
            self._look(now)

    def _look(self, now: float) -> None:
        # A log near its limit is not left unseen for as long as it may take to read it.
        self._end_if_too_large(now)
        self._output.read(self._guard.pause_s if self._guard else _TICK_S)
        self._take_signals(now)
        if now >= self._next_kill_look:
            self._next_kill_look = now + _KILL_LOOK_S
            self._take_kill_request(now)
            self._journal.catch_up()
        self._enforce_time(now)
        self._watch_loss(now)
        self._watch_progress(now)
        if self._phase and not self._stop:
            self._probe_service(now)
        if now >= self._next_beat:
            self._next_beat = now + self._interval
            self._beat(states.STOPPING if self._stop else states.RUNNING)
        if self._stop:
            self._stop.advance(now)

    def _take_signals(self, now: float) -> None:
        signals: List[int] = self._inbox.take()
        if signal.SIGINT in signals:
            self._begin_stop("user_kill", self._policies.grace_s, now, CTRL_C)
        if signal.SIGTERM in signals:
            self._begin_stop("preempted", self._policies.grace_s, now, SENT_SIGTERM)
        if signal.SIGUSR1 in signals:
            self._take_kill_request(now)

    def _take_kill_request(self, now: float) -> None:
        request = at_work.kill_request(self._run)
        if request is None:
            return
        asked = number(request.get("grace_s"))
        grace_s = self._policies.grace_s if asked is None else asked
        if self._stop:
            self._cause, self._detail = "user_kill", _asked_by(request)
            self._stop.shorten(grace_s)
        else:
            self._begin_stop("user_kill", grace_s, now, _asked_by(request))

    def _begin_stop(self, cause: str, grace_s: float, now: float, why: str, begun: bool = False) -> None:
        if self._stop:
            return
        self._cause, self._detail = cause, why
        self._stop = GracefulStop(self._child.pid, self._run.path, grace_s, now, begun)
        self._journal.event("stopping", reason=cause, detail=why, grace_s=grace_s)
        self._next_beat = 0.0

    def _enforce_time(self, now: float) -> None:
        policies = self._policies
        if policies.timeout_s and now - self._clock > policies.timeout_s:
            self._begin_stop("timeout", policies.grace_s, now, "ran longer than {:g} s".format(policies.timeout_s))
        if not policies.stall_timeout_s or self._spec.get("service"):
            return
        quiet = now - self._output.active_at
        if quiet <= policies.stall_timeout_s:
            if self._stalled:
                self._stalled = False
                self._journal.event("resumed")
            return
        if not self._stalled:
            self._stalled = True
            self._journal.event("stalled", quiet_s=round(quiet, 1), action=policies.on_stall)
            self._next_beat = 0.0
            if policies.on_stall != "flag":
                why = "no output, metric or checkpoint for {:g} s".format(policies.stall_timeout_s)
                self._begin_stop("stalled", policies.grace_s, now, why)

    def _watch_loss(self, now: float) -> None:
        if not self._output.nan_loss or self._nan_told:
            return
        self._nan_told = True
        self._journal.event("nan_loss", detail=self._output.nan_loss, action=self._policies.on_nan)
        self._next_beat = 0.0
        if self._policies.on_nan == "stop":
            self._begin_stop("nan_loss", self._policies.grace_s, now, self._output.nan_loss)

    def _watch_progress(self, now: float) -> None:
        """Tell at once, and once, of how many steps it has, that these are a part of it, and when its end is known."""
        output = self._output
        ends = now - self._clock > _SETTLED_S and output.left_s is not None
        news = {
            name for name, is_so in (("total", output.total), ("part", output.total_is_part), ("end", ends)) if is_so
        }
        if not news <= self._progress_told:
            self._progress_told |= news
            self._next_beat = 0.0

    def _watch_log_size(self, guard: LogGuard, now: float) -> None:
        """Free the middle of a log that takes more space than it may; where that cannot be, the run ends."""
        guard.look(now)
        self._warn_of_size(guard.space)
        limit = self._policies.max_log_bytes or 0
        if guard.space > limit and not self._stop and not self._free_middle(limit):
            self._begin_stop("log_limit", self._policies.grace_s, now, _too_large(limit))

    def _warn_of_size(self, used: int) -> None:
        limit = self._policies.max_log_bytes or 0
        if used > limit * _WARN_AT and not self._log_warned:
            self._log_warned = True
            self._journal.event("log_large", used_bytes=used, limit_bytes=limit, action=self._policies.on_max_log)

    def _end_if_too_large(self, now: float) -> None:
        if self._breaker is None:
            return
        if self._breaker.tripped and not self._stop:
            told = _too_large(self._policies.max_log_bytes or 0)
            self._begin_stop("log_limit", self._policies.grace_s, now, told, begun=True)
        self._warn_of_size(self._breaker.guard.size)

    def _free_middle(self, limit: int) -> bool:
        """Whether there is room again, or will be soon: only what has been read is freed."""
        self._output.keep_up(limit // 4)
        middle = log_limit.middle_of(self._output.offset, limit, self._freed_to)
        if middle and log_limit.punch_hole(self._run.stdout_log, *middle):
            self._freed_to = middle[1]
            self._journal.event("log_gap", start=middle[0], end=middle[1])
            return True
        return not middle and self._output.offset < log_size(self._run)

    def _probe_service(self, now: float) -> None:
        wanted = self._spec["service"]
        if self._probe is None:
            if now < self._next_probe:
                return
            self._next_probe = now + _SERVICE_LOOK_S
            self._probe = HealthProbe(int(wanted["port"]), str(wanted["health"]), now)
        problem = self._probe.look(now)
        if problem is None:
            return
        self._probe = None
        if problem:
            self._not_well(problem, now)
            return
        if self._unwell:
            self._next_beat = 0.0
        self._bad_probes, self._unwell = 0, ""
        if self._phase != "ready":
            self._change_phase("ready", port=wanted["port"], after_s=round(now - self._clock, 3))

    def _not_well(self, problem: str, now: float) -> None:
        wanted = self._spec["service"]
        self._bad_probes += 1
        if problem != self._unwell:
            self._unwell, self._next_beat = problem, 0.0
        limit = number(wanted.get("ready_timeout_s"))
        if self._phase == "ready" and self._bad_probes >= _UNHEALTHY_AFTER:
            self._change_phase("unhealthy", detail=problem)
            if wanted.get("on_unhealthy") == "restart":
                self._begin_stop("unhealthy", self._policies.grace_s, now, "its health check says: " + problem)
        elif self._phase == "loading" and limit and now - self._clock > limit:
            why = "not ready within {:g} s; its health check says: {}".format(limit, problem)
            self._begin_stop("timeout", self._policies.grace_s, now, why)

    def _change_phase(self, phase: str, **facts: Any) -> None:
        self._phase = phase
        self._journal.event(phase, **facts)
        self._next_beat = 0.0

    def _beat(self, state: str) -> None:
        left = self._output.left_s
        facts = {
            "pid": self._child.pid,
            "elapsed": round(time.monotonic() - self._clock, 1),
            "interval": self._interval,
            "log_bytes": self._output.offset,
            "log_age": round(time.monotonic() - self._output.active_at, 1),
            "phase": self._phase or None,
            "health": self._unwell.replace(" ", "_") or None,
            "stalled": 1 if self._stalled else None,
            "nan": 1 if self._nan_told else None,
        }  # type: Dict[str, Any]
        facts.update(self._output.steps, left=None if left is None else round(left))
        self._journal.beat(state, dict(facts, **self._facts()))


def _too_large(limit: int) -> str:
    return "its log is larger than {:,} bytes".format(limit)


def _asked_by(request: Dict[str, Any]) -> str:
    return "asked for by {}".format(request.get("by") or "a user")


def _last_beat(run: RunDir) -> Dict[str, str]:
    """What the supervisor before us told last."""
    try:
        with open(run.heartbeat, encoding="utf-8", errors="replace") as stream:
            return parse_heartbeat(stream.read(2000))
    except OSError:
        return {}


def _last_phase(beat: Dict[str, str]) -> str:
    """That of a service."""
    phase = beat.get("phase", "")
    return phase if phase in _PHASES else ""


def log_size(run: RunDir) -> int:
    try:
        return os.stat(run.stdout_log).st_size
    except OSError:
        return 0


def nothing_ran(beginning: Beginning) -> Ended:
    return Ended(None, None, "", beginning.time, time.time(), beginning.log_start, beginning.log_start, 0)
