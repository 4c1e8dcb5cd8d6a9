"""The supervisor: starts one run, watches it, ends it when asked, and writes its summary last."""

import os
import select
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional

from podops_runners import gpu_claims, process, records, service, states
from podops_runners.child import Child, environment, outcome
from podops_runners.log_reader import LogReader
from podops_runners.metrics_scrape import Scraper, json_safe
from podops_runners.pane import Pane
from podops_runners.rundir import RunDir
from podops_runners.runfiles import claim_record, event, heartbeat_line, iso, layout_of
from podops_runners.stop import GracefulStop
from podops_runners.traceback_line import last_words

#: How long we sleep at most between two looks at log, kill request and clock, seconds.
_TICK_S = 0.2
#: How long we read the log before we look at everything else again, and once it is complete, seconds.
_READ_S, _LAST_READ_S = 0.1, 5.0
_SERVICE_POLL_S = 1.0


def supervise(path: str) -> int:
    """Run the run at `path` to its end. Returns 0 when the run succeeded, 1 when not, 2 when there is none."""
    spec, problem = records.read_record(RunDir(path).spec)
    if spec is None:
        sys.stderr.write("{}: {}\n".format(path, problem or "no run_spec.json"))
        return 2
    run = RunDir(path, layout_of(spec))
    return 0 if Supervisor(run, spec).main() == states.SUCCEEDED else 1


class Supervisor:
    """State of one supervised run. Trouble with our own records never ends the child."""

    def __init__(self, run: RunDir, spec: Dict[str, Any]) -> None:
        self.run = run
        self.spec = spec
        policies = spec.get("policies") or {}
        self._timeout_s = policies.get("timeout_s")
        self._stall_s = policies.get("stall_timeout_s")
        self._grace_s = float(policies.get("grace_s", 30.0))
        self._interval = float(spec.get("watch_interval_s") or 20.0)
        self._scraper = Scraper(spec.get("metrics_pattern"))
        self._pane = Pane(1)
        self._started = time.time()
        self._clock = time.monotonic()
        self._child: Optional[Child] = None
        self._stop: Optional[GracefulStop] = None
        self._cause: Optional[str] = None
        self._signals: List[int] = []
        self._log = LogReader(run.stdout_log)
        self._log_changed = self._clock
        self._stalled = False
        self._metrics_written = 0
        self._last_metrics: Dict[str, Any] = {}
        self._phase = "loading" if spec.get("service") else ""
        self._next_beat = self._next_index = self._next_probe = self._next_kill_look = 0.0

    def main(self) -> str:
        self._wake = self._catch_signals()
        process.become_subreaper()
        self._keep(lambda: os.makedirs(self.run.private, exist_ok=True))
        self._keep(lambda: records.write_record(self.run.claim, claim_record()))
        try:
            self._child = Child(self.run, environment(self.spec, self.run))
        except OSError as error:
            return self._end(states.FAILED, "spawn_failed", "bash cannot be started: {}".format(error), None)
        child = self._child
        self._keep(lambda: records.write_record(self.run.claim, claim_record(child.identity)))
        self._record_start()
        status = None
        while status is None:
            self._wait()
            self._look(time.monotonic())
            status = child.reap()
        self._read_output(_LAST_READ_S)
        self._log.jump()
        self._read_output(_LAST_READ_S)
        self._keep(self._index)
        return self._finish(status)

    def _catch_signals(self) -> int:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP):
            # Handlers, never SIG_IGN: what is ignored would stay ignored in the child.
            signal.signal(number, lambda got, _frame: self._signals.append(got))
        return reader

    def _wait(self) -> None:
        ready, _, _ = select.select([self._wake], [], [], _TICK_S)
        if ready:
            os.read(self._wake, 4096)

    def _look(self, now: float) -> None:
        self._read_output(_READ_S)
        self._take_signals(now)
        if now >= self._next_kill_look:
            self._next_kill_look = now + 1.0
            self._take_kill_request(now)
        self._enforce_policies(now)
        if self._phase and now >= self._next_probe:
            self._next_probe = now + _SERVICE_POLL_S
            self._probe_service()
        if now >= self._next_beat:
            self._beat(states.STOPPING if self._stop else states.RUNNING)
        if self._stop:
            self._stop.advance(now)

    def _take_signals(self, now: float) -> None:
        signals, self._signals = self._signals, []
        if signal.SIGINT in signals:
            self._begin_stop("user_kill", self._grace_s, now, "ctrl-c in its terminal")
        if signal.SIGTERM in signals:
            self._begin_stop("preempted", self._grace_s, now, "the supervisor was sent SIGTERM")
        if signal.SIGUSR1 in signals:
            self._take_kill_request(now)

    def _take_kill_request(self, now: float) -> None:
        request, _ = records.read_record(self.run.kill_request)
        if request is None:
            return
        grace = request.get("grace_s")
        grace_s = float(grace) if isinstance(grace, (int, float)) else self._grace_s
        if self._stop:
            self._stop.shorten(grace_s)
        else:
            self._begin_stop("user_kill", grace_s, now, "asked for by {}".format(request.get("by") or "a user"))

    def _begin_stop(self, cause: str, grace_s: float, now: float, why: str) -> None:
        if self._stop or self._child is None:
            return
        self._cause, self._why = cause, why
        self._stop = GracefulStop(self._child.pid, self.run.path, grace_s, now)
        event(self.run, "stopping", reason=cause, detail=why, grace_s=grace_s)
        self._next_beat = 0.0

    def _enforce_policies(self, now: float) -> None:
        if self._timeout_s and now - self._clock > self._timeout_s:
            self._begin_stop("timeout", self._grace_s, now, "ran longer than {:g} s".format(self._timeout_s))
        quiet = now - self._log_changed
        if self._stall_s and not self._phase and not self._stalled and quiet > self._stall_s:
            self._stalled = True
            event(self.run, "stalled", quiet_s=round(quiet, 1))
            self._next_beat = 0.0

    def _probe_service(self) -> None:
        wanted = self.spec["service"]
        if self._phase == "loading" and service.answers(int(wanted["port"]), str(wanted["health"])) is None:
            self._phase = "ready"
            event(self.run, "ready", port=wanted["port"], after_s=round(time.time() - self._started, 3))
            self._next_beat = 0.0

    def _read_output(self, seconds: float) -> None:
        """Bring pane, metrics and index up to the end of the log, as far as that goes in so long."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            data, jumped = self._log.next()
            if not data:
                break
            if jumped:
                self._scraper.forget_line()
            self._log_changed = time.monotonic()
            if self._stalled:
                self._stalled = False
                event(self.run, "resumed")
            self._pane.show(data)
            for metrics in self._scraper.feed(data):
                self._keep_metrics(metrics)
        now = time.monotonic()
        if self._log_changed > self._next_index - 1.0 and now >= self._next_index:
            self._next_index = now + 1.0
            self._keep(self._index)

    def _index(self) -> None:
        with open(self.run.stdout_index, "a") as stream:
            stream.write("{:.3f} {}\n".format(time.time(), self._log.offset))

    def _keep_metrics(self, metrics: Dict[str, Any]) -> None:
        self._last_metrics.update(json_safe(metrics))
        # A run that writes the file itself is the better source; two sources would tell each value twice.
        if self._file_size(self.run.metrics) != self._metrics_written:
            return
        line = dict({"step": metrics.get("step"), "time": round(time.time(), 3)}, **json_safe(metrics))
        self._keep(lambda: records.append_line(self.run.metrics, line))
        self._metrics_written = self._file_size(self.run.metrics)

    def _beat(self, state: str) -> None:
        self._next_beat = time.monotonic() + self._interval
        facts = {
            "pid": self._child.pid if self._child else None,
            "elapsed": round(time.time() - self._started, 1),
            "interval": self._interval,
            "log_bytes": self._log.offset,
            "log_age": round(time.monotonic() - self._log_changed, 1),
            "gpu": ",".join(str(index) for index in self._gpus()) or None,
            "step": self._scraper.step,
            "total": self._scraper.total,
            "phase": self._phase or None,
            "stalled": 1 if self._stalled else None,
        }  # type: Dict[str, Any]
        data = heartbeat_line(state, facts).encode()
        self._keep(lambda: records.write_bytes(self.run.heartbeat, data))

    def _gpus(self) -> "list[int]":
        gpus = self.spec.get("gpus") or {}
        return list(gpus.get("indices") or []) if isinstance(gpus, dict) else []

    def _record_start(self) -> None:
        metadata, _ = records.read_record(self.run.metadata)
        child = self._child.identity if self._child else None
        started = dict(metadata or {}, started=iso(self._started), host=os.uname().nodename)
        started.update(process=None if child is None else child._asdict())
        self._keep(lambda: records.write_record(self.run.metadata, started))
        event(self.run, "started", pid=self._child.pid if self._child else None)

    def _finish(self, status: int) -> str:
        code, number = outcome(status)
        if self._stop and self._stop.last_signal is not None and self._cause:
            self._stop.finish()
            state = states.FAILED if self._cause == "timeout" else states.CANCELLED
            return self._end(state, self._cause, self._why, code, number)
        GracefulStop(0, self.run.path, 0, 0).finish()
        if code == 0:
            return self._end(states.SUCCEEDED, "ok", "", code)
        detail = last_words(self.run.stdout_log)
        if number is not None:
            return self._end(states.FAILED, "signal", process.signal_name(number), code, number)
        return self._end(states.FAILED, "nonzero_exit", detail or "exit status {}".format(code), code)

    def _end(self, state: str, reason: str, detail: str, code: Optional[int], number: Optional[int] = None) -> str:
        ended = time.time()
        summary = {
            "run_id": self.run.run_id,
            "ok": state == states.SUCCEEDED,
            "state": state,
            "reason": reason,
            "detail": detail,
            "exit_code": code,
            "signal": number,
            "started_at": iso(self._started),
            "ended_at": iso(ended),
            "started": round(self._started, 3),
            "ended": round(ended, 3),
            "elapsed_s": round(ended - self._started, 3),
            "attempts": 1,
            "log_bytes": self._log.offset,
            "last_metrics": self._last_metrics,
            "tracking": {"wandb": {"url": self._scraper.wandb_url}} if self._scraper.wandb_url else {},
            "missing_artifacts": self._missing_artifacts(),
        }  # type: Dict[str, Any]
        event(self.run, "ended", state=state, reason=reason, exit_code=code)
        self._beat(state)
        if self._gpus():
            self._keep(lambda: gpu_claims.release(self.run.path))
        self._write_summary(summary)
        return state

    def _missing_artifacts(self) -> "list[str]":
        required = self.spec.get("artifacts_required") or []
        own = (os.path.basename(self.run.summary), "summary.json")
        return [
            name
            for name in required
            if isinstance(name, str) and name not in own and not os.path.exists(os.path.join(self.run.path, name))
        ]

    def _write_summary(self, summary: Dict[str, Any]) -> None:
        """The one record worth waiting for: a full disk is often made room on within the hour."""
        for _ in range(1800):
            if self._keep(lambda: records.write_record(self.run.summary, summary)):
                return
            time.sleep(2.0)

    def _keep(self, write: Callable[[], object]) -> bool:
        """Do one write of ours; tell trouble on standard error, which is the pane."""
        try:
            write()
            return True
        except OSError as error:
            try:
                sys.stderr.write("podops: {}\n".format(error))
            except OSError:
                pass
            return False

    def _file_size(self, path: str) -> int:
        try:
            return os.stat(path).st_size
        except OSError:
            return 0
