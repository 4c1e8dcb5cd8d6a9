"""The supervisor: brings one run through its attempts, and writes its summary last."""

import os
import sys
import time

from podops_runners import (
    agent_process,
    asked_to_stop,
    at_work,
    cgroup,
    end_facts,
    gpu_claims,
    machine,
    process,
    records,
    run_claim,
    run_summary,
    run_trouble,
    serving,
    states,
)
from podops_runners.attempt import Attempt, Ended, log_size, nothing_ran
from podops_runners.environment import EnvironmentFileError, run_environment
from podops_runners.journal import Journal
from podops_runners.log_breaker import LogBreaker
from podops_runners.policies import LogRange, read_policies, retry_delay
from podops_runners.presence import Presence
from podops_runners.resume import newest_checkpoint
from podops_runners.rundir import RunDir
from podops_runners.runfiles import iso, layout_of
from podops_runners.shim import AdoptedChild, Beginning, Child, ShimError, left_behind, start_child
from podops_runners.signal_inbox import SignalInbox
from podops_runners.typed import Any, Dict, List, Optional, Union
from podops_runners.verdict import Ending, Verdict, failed

#: How often a supervisor looks whether the agent still lives, seconds.
_AGENT_LOOK_S = 5.0

#: A service that ran so long has started well: its restarts are counted anew, seconds.
_STEADY_S = 600.0

#: How long a supervisor goes on trying to store the summary, seconds.
_KEEP_TRYING_S = 24 * 3600.0


def supervise(path: str, token: Optional[str] = None) -> int:
    """Run the run at `path` to its end. Returns 0 when it succeeded, 1 when not, 2 when there is none, 3 when it is
    another supervisor's."""
    path = os.path.abspath(path)
    spec, problem = records.read_record(RunDir(path).spec)
    if spec is None:
        sys.stderr.write("{}: {}\n".format(path, problem or "no run_spec.json"))
        return 2
    run = RunDir(path, layout_of(spec))
    claim = run_claim.take(run, token)
    if claim is None:
        sys.stderr.write("{}: another supervisor has this run\n".format(path))
        return 3
    return 0 if Supervisor(run, spec, claim).main() == states.SUCCEEDED else 1


class Supervisor:
    """State of one supervised run over all its attempts."""

    def __init__(self, run: RunDir, spec: Dict[str, Any], claim: Dict[str, Any]) -> None:
        self._run = run
        self._spec = spec
        self._claim = claim
        self._policies = read_policies(spec)
        self._presence = Presence(run)
        self._journal = Journal(run, self._presence.is_deleted)
        self._inbox = SignalInbox()
        self._number = int(records.number(claim.get("attempt")) or 1)
        self._started = records.number(claim.get("started")) or time.time()
        #: The same moment by a clock that nobody sets.
        self._started_boot = records.number(claim.get("started_boot")) or process.since_boot()
        self._gpus = [index for index in claim.get("gpus") or [] if isinstance(index, int)]
        self._output_facts: Dict[str, Any] = {}
        #: How far the last attempt came.
        self._steps: Dict[str, Any] = {}
        #: What went wrong without ending the run.
        self._warnings: List[str] = []
        self._next_agent_look = 0.0
        self._beats = 0

    def main(self) -> str:
        """The state the run ended in."""
        process.become_subreaper()
        child: Union[Child, AdoptedChild, None] = left_behind(self._run, self._number, self._claim)
        if child is not None:
            self._journal.event("adopted", attempt=self._number, pid=child.pid)
        while True:
            verdict, ended = self._attempt(child)
            self._record_attempt(verdict, ended)
            delay = self._delay(verdict, ended)
            stopped = verdict if delay is None else self._back_off(delay)
            if stopped is not None:
                return self._end(stopped, ended)
            self._number += 1
            child = None

    def _attempt(self, child: Union[Child, AdoptedChild, None]) -> "tuple[Verdict, Ended]":
        if child is None:
            self._await_volume()
            beginning = Beginning(time.time(), log_size(self._run), cgroup.oom_kills() or 0)
            problem = self._before_start()
            if problem is None:
                try:
                    child = self._start(beginning)
                except EnvironmentFileError as error:
                    problem = failed("setup_failed", str(error))
                except (ShimError, OSError) as error:
                    problem = failed("spawn_failed", "bash cannot be started: {}".format(error))
            if problem is not None or child is None:
                return problem or failed("spawn_failed", ""), nothing_ran(beginning)
        breaker = self._breaker(child)
        self._record_start(child)
        attempt = Attempt(
            self._run,
            serving.with_port(self._spec, self._claim),
            self._policies,
            child,
            self._journal,
            self._inbox,
            self._presence,
            self._facts,
            breaker,
        )
        ended = attempt.watch()
        output = attempt.output
        self._output_facts = dict(last_metrics=output.last_metrics, scraped=output.scraped, wandb=output.wandb_url)
        self._steps = output.steps
        return self._judge(ended), ended

    def _breaker(self, child: Union[Child, AdoptedChild]) -> Optional[LogBreaker]:
        limit, action = self._policies.max_log_bytes, self._policies.on_max_log
        return LogBreaker(self._run.stdout_log, limit, child) if limit and action == "end" else None

    def _await_volume(self) -> None:
        """A volume that is full, read-only or gone is no reason to fail an attempt: it has not begun."""
        deadline = time.monotonic() + _KEEP_TRYING_S
        while time.monotonic() < deadline and not os.path.exists(self._run.kill_request):
            trouble = self._presence.refusal()
            if trouble is None:
                return
            self._journal.tell(trouble)
            self._journal.beat(states.STARTING, dict(self._facts(), phase="waiting"))
            self._inbox.wait(1.0)

    def _before_start(self) -> Optional[Verdict]:
        """Why nothing should be started at all."""
        stopped = asked_to_stop.verdict(self._run, self._inbox)
        if stopped is not None:
            return stopped
        workdir = str(self._spec.get("workdir") or self._run.path)
        if not os.path.isdir(workdir):
            return failed("setup_failed", "the working directory {} does not exist".format(workdir))
        service = serving.wanted(self._spec)
        problem = serving.take_port(self._run, service, self._claim) if service else None
        if service and problem is None:
            # Before the child: whoever takes this run over must know where it serves.
            self._journal.keep_until_done("claim", lambda: run_claim.update(self._run, self._claim))
        return problem

    def _start(self, beginning: Beginning) -> Child:
        # A heartbeat that is there can be written on a full disk too.
        self._journal.beat(states.STARTING, self._facts())
        resume_from = newest_checkpoint(self._run, self._policies.checkpoints) if self._resumes() else None
        surroundings = run_environment(
            self._spec,
            self._run,
            attempt=self._number,
            gpus=self._gpus,
            resume_from=resume_from,
            port=self._claim.get("port"),
        )
        if resume_from:
            self._journal.event("resuming", attempt=self._number, checkpoint=resume_from)
        self._warn(surroundings.warnings)
        return start_child(self._run, surroundings.variables, self._number, beginning)

    def _warn(self, texts: List[str]) -> None:
        metadata, _ = records.read_record(self._run.metadata)
        self._warnings = told = end_facts.warnings_of(metadata)
        for text in texts:
            if text not in told:
                told.append(text)
                self._journal.event("warning", attempt=self._number, detail=text)

    def _resumes(self) -> bool:
        return bool(self._number > 1 or self._spec.get("resume"))

    def _record_start(self, child: Union[Child, AdoptedChild]) -> None:
        identity = child.identity
        if not child.adopted:
            self._journal.event("started", attempt=self._number, pid=child.pid, gpus=self._gpus or None)
        self._claim.update(
            child=None if identity is None else identity._asdict(),
            shim=child.shim,
            beginning=child.beginning._asdict(),
            attempt=self._number,
            started=self._started,
            started_boot=round(self._started_boot, 3),
        )
        self._journal.keep_until_done("claim", lambda: run_claim.update(self._run, self._claim))
        self._journal.keep(self._hold_gpus)
        at_work.note(self._run, self._spec, self._claim)
        metadata, _ = records.read_record(self._run.metadata)
        if child.adopted and (metadata or {}).get("attempt") == self._number and (metadata or {}).get("started"):
            return
        told = dict(metadata or {}, started=iso(self._started), host=os.uname().nodename, attempt=self._number)
        told.update(gpus=self._gpus or None, process=None if identity is None else identity._asdict())
        told.update(serving.endpoint(self._claim), warnings=self._warnings or end_facts.warnings_of(metadata))
        self._journal.keep_until_done("metadata", lambda: records.write_record(self._run.metadata, told))

    def _hold_gpus(self) -> None:
        """Say whose they are, again when somebody has cleared away what was said."""
        if self._gpus:
            owners = [self._claim.get(name) for name in ("supervisor", "child", "shim")]
            simulated = bool((self._spec.get("gpus") or {}).get("simulated"))
            gpu_claims.confirm(self._gpus, self._run.path, owners, simulated)

    def _facts(self) -> Dict[str, Any]:
        now = time.monotonic()
        self._beats += 1
        if self._beats == 2:
            _load_what_the_end_needs()
            process.give_back_memory()
        if now >= self._next_agent_look:
            self._next_agent_look = now + _AGENT_LOOK_S
            agent_process.ensure_running(self._spec.get("tmux"))
            if self._claim.get("child"):
                self._journal.keep(self._hold_gpus)
        return {
            "attempt": self._number if self._number > 1 else None,
            "gpu": ",".join(str(index) for index in self._gpus) or None,
        }

    def _judge(self, ended: Ended) -> Verdict:
        code, number = end_facts.outcome(ended.status)
        cause, detail = ended.cause, ended.detail
        if cause is None and end_facts.was_stopped(self._run, number):
            cause, detail = "user_kill", end_facts.asked_by(self._run)
        ending = Ending(
            exit_code=code,
            signal=number,
            stop_cause=cause,
            stop_detail=detail,
            log_path=self._run.stdout_log,
            log_start=ended.log_start,
            log_end=ended.log_end,
            oom_kills=ended.oom_kills,
            disk_free_bytes=end_facts.free_bytes(self._run.path),
            notes=(),
        )
        from podops_runners.classify import classify

        return classify(ending)

    def _delay(self, verdict: Verdict, ended: Ended) -> Optional[float]:
        may_go_on = verdict.state == states.FAILED or verdict.reason == "preempted"
        if not may_go_on or os.path.exists(self._run.kill_request) or self._presence.is_deleted():
            return None
        code, _ = end_facts.outcome(ended.status)
        log = LogRange(self._run.stdout_log, ended.log_start, ended.log_end)
        if serving.wanted(self._spec) and ended.ended - ended.started > _STEADY_S:
            self._claim["retries_from"] = self._number - 1
        made = self._number - int(records.number(self._claim.get("retries_from")) or 0)
        delay, why = retry_delay(self._policies.retries, verdict.reason, code, made, log)
        if delay is not None:
            self._journal.event("retrying", after_s=round(delay, 1), detail=why)
        elif why:
            self._journal.event("not_retried", detail=why)
        return delay

    def _back_off(self, delay: float) -> Optional[Verdict]:
        """Wait before the next attempt; how the run ends when somebody asked for that meanwhile."""
        self._claim.update(child=None, shim=None, attempt=self._number + 1)
        self._journal.keep_until_done("claim", lambda: run_claim.update(self._run, self._claim))
        retries, until, next_beat = self._policies.retries, time.monotonic() + delay, 0.0
        while time.monotonic() < until:
            stopped = asked_to_stop.verdict(self._run, self._inbox)
            # Whoever goes on after its pod was lost waits here for the pod to go.
            if stopped is not None and not (stopped.reason == "preempted" and retries.cover("preempted")):
                return stopped
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + (records.number(self._spec.get("watch_interval_s")) or 20.0)
                self._journal.beat(states.STARTING, dict(self._facts(), phase="retrying", wait=round(until - now, 1)))
            self._inbox.wait(min(1.0, until - now))
        return None

    def _record_attempt(self, verdict: Verdict, ended: Ended) -> None:
        code, number = end_facts.outcome(ended.status)
        if end_facts.tells_attempt(self._run.attempts, self._number):
            return  # by a supervisor that died between this and the summary
        line = {
            "attempt": self._number,
            "started": round(ended.started, 3),
            "ended": round(ended.ended, 3),
            "state": verdict.state,
            "reason": verdict.reason,
            "detail": verdict.detail,
            "exit_code": code,
            "signal": number,
            "log_start": ended.log_start,
            "log_end": ended.log_end,
        }
        self._journal.keep_until_done(
            "attempt {}".format(self._number), lambda: records.append_line(self._run.attempts, line)
        )

    def _end(self, verdict: Verdict, ended: Ended) -> str:
        if not end_facts.tells_end(self._run.events):
            self._journal.event("ended", state=verdict.state, reason=verdict.reason, attempt=self._number)
        self._journal.beat(verdict.state, dict(self._steps, reason=verdict.reason, log_bytes=ended.log_end))
        self._write_summary(
            run_summary.summary(
                self._run,
                self._spec,
                verdict,
                ended,
                self._output_facts,
                attempts=self._number,
                started=self._started,
                elapsed_s=self._elapsed_s(ended),
            )
        )
        if self._gpus:
            self._journal.keep(lambda: gpu_claims.release(self._run.path))
        if self._claim.get("port") is not None:
            self._journal.keep(lambda: serving.release_port(self._run))
        at_work.forget(self._run.path)
        machine.wake_agent()
        return verdict.state

    def _elapsed_s(self, ended: Ended) -> float:
        """From the first start to the end, which nobody may have seen until long after."""
        return max(0.0, process.since_boot() - max(0.0, time.time() - ended.ended) - self._started_boot)

    def _write_summary(self, summary: Dict[str, Any]) -> None:
        """The one record worth waiting for: a full disk is often made room on, a lost volume often comes back."""
        deadline = time.monotonic() + _KEEP_TRYING_S
        while not self._journal.keep_here(lambda: records.write_record(self._run.summary, summary)):
            if time.monotonic() > deadline or self._presence.is_deleted():
                return
            end = run_trouble.ended(str(summary["state"]), str(summary["reason"]))
            at_work.note_end(self._run.path, end, self._journal.trouble)
            self._journal.beat(str(summary["state"]), dict(self._steps, reason=summary["reason"]))
            self._inbox.wait(2.0)
            self._inbox.take()
        self._journal.catch_up()


def _load_what_the_end_needs() -> None:
    """Loaded with the second heartbeat: the child has started by then; at the end, where it lies may be gone."""
    from podops_runners import classify

    assert classify
