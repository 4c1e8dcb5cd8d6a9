"""The small process between supervisor and child that lives only to keep the child's exit status.

When the supervisor is killed, the shim stays: it is the child's parent, so it alone can be told how the child ended,
and it writes that to `.ops/exit.json` for whoever takes the run over. It sees to it, too, that there is an agent to do
so. It is forked, not started, so it costs next to nothing while the supervisor lives.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time

from podops_runners import agent_process, end_facts, process, records
from podops_runners.presence import Presence
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional

#: How long the shim goes on trying to store the exit status on a volume that does not take it, seconds.
_KEEP_TRYING_S = 24 * 3600.0

#: A shim without its supervisor looks so soon again whether there is an agent, since one that was killed with the
#: supervisor may have looked alive for a moment; and so often from then on, seconds.
_SECOND_LOOK_S, _AGENT_LOOK_S = 0.5, 5.0

#: What wakes a shim: the end of a child of its own, and the end of its supervisor.
_WAKING = (signal.SIGCHLD, signal.SIGUSR1)


class ShimError(Exception):
    """The child could not be started; the text says why."""


class Beginning(NamedTuple):
    """What is known just before an attempt starts, for whoever sees its end."""

    #: Unix seconds.
    time: float
    #: Its output begins here in `stdout.log`.
    log_start: int
    #: Processes killed for memory in our cgroup so far.
    oom_kills: int

    @classmethod
    def read(cls, record: Dict[str, Any]) -> "Beginning":
        """As stored in `record`; what is missing counts as now and nothing."""
        moment, start, kills = (records.number(record.get(name)) for name in ("time", "log_start", "oom_kills"))
        return cls(time.time() if moment is None else moment, int(start or 0), int(kills or 0))


class Child:
    """The run's own process, seen by the supervisor that started it."""

    adopted = False

    def __init__(
        self,
        shim: process.Identity,
        identity: Optional[process.Identity],
        pid: int,
        pipe: int,
        beginning: Beginning,
    ) -> None:
        self.beginning = beginning
        self.shim: Any = shim._asdict()
        self.pid = pid
        self.identity = identity
        self._pipe = pipe
        self._told = b""
        self._silent = False

    def status(self) -> Optional[int]:
        """The wait status once the child has ended, and reap whatever else has.

        A shim that was killed tells nothing: the child is ours then, because we are a subreaper.
        """
        taken = self._reap()
        ready, _, _ = select.select([self._pipe], [], [], 0)
        if ready:
            data = os.read(self._pipe, 256)
            self._told += data
            self._silent = not data
            first = self._told.split(b"\n")[0]
            if b"\n" in self._told and first.isdigit():
                return int(first)
        return taken

    def ended(self) -> Optional[float]:
        """Nobody but us has seen its end."""
        return None

    def vanished(self) -> bool:
        """Whether it has ended and nobody is left who knows how."""
        return self._silent and (self.identity is None or not process.is_alive(self.identity._asdict()))

    def _reap(self) -> Optional[int]:
        taken = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return taken
            if pid == 0:
                return taken
            if pid == self.pid:
                taken = status


class AdoptedChild:
    """A child that another supervisor started and left behind: its status is what its shim has stored."""

    adopted = True

    def __init__(self, run: RunDir, attempt: int, child: Dict[str, Any], shim: Any, beginning: Beginning) -> None:
        self.beginning = beginning
        self.pid = int(child["pid"])
        self.identity: Optional[process.Identity] = process.Identity(
            self.pid, int(child["start_ticks"]), str(child["boot_id"])
        )
        self._run = run
        self._attempt = attempt
        self._child = child
        self.shim = shim

    def status(self) -> Optional[int]:
        status = None if process.is_alive(self._child) else self._stored().get("status")
        return status if isinstance(status, int) else None

    def ended(self) -> Optional[float]:
        """When it ended, unix seconds, as the supervisor before us has told or its shim; `None` when neither has."""
        told = end_facts.end_of(self._run, self._attempt) or {}
        at = records.number(told.get("ended"))
        return records.number(self._stored().get("time")) if at is None else at

    def _stored(self) -> Dict[str, Any]:
        record, _ = records.read_record(self._run.exit)
        return record if record is not None and record.get("attempt") == self._attempt else {}

    def vanished(self) -> bool:
        return not process.is_alive(self._child) and not process.is_alive(self.shim)


def start_child(run: RunDir, environment: Dict[str, str], attempt: int, beginning: Beginning) -> Child:
    """Start `bash command.sh` in a session of its own, its stdout and stderr `stdout.log` itself.

    Raises `ShimError`. The caller must be single-threaded: it forks.
    """
    reader, writer = os.pipe()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _shim(_Task(run, environment, attempt, beginning, supervisor), writer)
    shim = process.identity(pid)
    os.close(writer)
    first = _line(reader)
    try:
        told = json.loads(first.decode("utf-8", "replace"))
    except ValueError:
        told = {"error": "the process that should have started it died"}
    if "pid" not in told or shim is None:
        os.close(reader)
        raise ShimError(str(told.get("error") or "its shim died"))
    child, ticks = int(told["pid"]), told.get("start_ticks")
    identity = process.Identity(child, ticks, shim.boot_id) if isinstance(ticks, int) else process.identity(child)
    return Child(shim, identity, child, reader, beginning)


def left_behind(run: RunDir, attempt: int, claim: Dict[str, Any]) -> Optional[AdoptedChild]:
    """The child of this attempt as its shim noted it, or the claim; `None` when the attempt never began."""
    record, _ = records.read_record(run.child)
    if record is None or record.get("attempt") != attempt:
        # A full disk takes no new file, but the claim is there already.
        if not claim.get("shim") or claim.get("attempt") != attempt:
            return None
        record = claim
    child = record.get("child")
    if not isinstance(child, dict) or not isinstance(child.get("pid"), int):
        child = {"pid": 0, "start_ticks": 0, "boot_id": ""}
    beginning = record.get("beginning")
    return AdoptedChild(
        run, attempt, child, record.get("shim"), Beginning.read(beginning if isinstance(beginning, dict) else {})
    )


class _Task(NamedTuple):
    """What a shim is for."""

    run: RunDir
    environment: Dict[str, str]
    attempt: int
    beginning: Beginning
    #: The process that forked it.
    supervisor: int


def _shim(task: _Task, pipe: int) -> None:
    """The whole life of the forked process; never returns."""
    code = 1
    try:
        os.setsid()
        _let_go_of_everything_but(pipe)
        process.become_subreaper()
        process.give_back_memory()
        process.signal_at_end_of_parent(signal.SIGUSR1)
        _keep(task, pipe)
        code = 0
    except BaseException as error:
        _tell(pipe, json.dumps({"error": str(error)}).encode() + b"\n")
    finally:
        os._exit(code)


def _keep(task: _Task, pipe: int) -> None:
    run = task.run
    # Told before and after: whoever finds only the first knows that this attempt may have begun, and begins it never
    # again.
    _note_child(task, None)
    presence = Presence(run)
    popen = _spawn(run, task.environment)
    child = popen.pid
    # Nobody has reaped it yet, so this is known of the shortest child, too.
    identity = process.identity(child)
    _note_child(task, identity)
    told = {"pid": child, "start_ticks": None if identity is None else identity.start_ticks}
    _tell(pipe, json.dumps(told).encode() + b"\n")
    status = _wait_for(child, run, task.supervisor)
    popen.returncode = status  # ours to reap, not Popen's, which would do it when it is collected
    heard = _tell(pipe, b"%d\n" % status)
    record: Dict[str, Any] = {"attempt": task.attempt, "status": status, "time": time.time()}
    deadline = time.monotonic() + _KEEP_TRYING_S
    while time.monotonic() < deadline and not presence.is_deleted():
        try:
            records.write_record(run.exit, record)
            return
        except OSError:
            if heard and os.path.exists(run.summary):
                return
            time.sleep(2.0)


def _note_child(task: _Task, child: Optional[process.Identity]) -> None:
    shim = process.identity(os.getpid())
    record: Dict[str, Any] = {"attempt": task.attempt, "beginning": task.beginning._asdict()}
    record["shim"] = None if shim is None else shim._asdict()
    record["child"] = None if child is None else child._asdict()
    try:
        records.write_record(task.run.child, record, durable=False)
    except OSError:
        # A full disk is no reason not to run; the supervisor's claim tells the same.
        pass


def _spawn(run: RunDir, environment: Dict[str, str]) -> "subprocess.Popen[bytes]":
    log = os.open(run.stdout_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        return subprocess.Popen(
            ["bash", run.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=run.path,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _wait_for(child: int, run: RunDir, supervisor: int) -> int:
    """The wait status of `child`. Without a supervisor there must be an agent, to take the run over."""
    pause = _SECOND_LOOK_S
    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAKING)
        status = _reap_until(child)
        if status is not None:
            return status
        if os.getppid() == supervisor:
            signal.sigwait(_WAKING)
            continue
        # Not under the mask: the agent would inherit it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAKING)
        agent_process.ensure_running((records.read_record(run.spec)[0] or {}).get("tmux"))
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAKING)
        status = _reap_until(child)
        if status is not None:
            return status
        signal.sigtimedwait(_WAKING, pause)
        pause = _AGENT_LOOK_S


def _reap_until(child: int) -> Optional[int]:
    """Reap whatever has ended; the wait status of `child` if it is among it."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return status
        if pid == 0:
            return None


def _let_go_of_everything_but(pipe: int) -> None:
    """No terminal, no signal handler of the supervisor's, no descriptor it may wait on."""
    signal.set_wakeup_fd(-1)
    handled: List[int] = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP]
    for number in handled:
        signal.signal(number, signal.SIG_DFL)
    # Its own group is not the child's: what is sent there is meant for the supervisor.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda _number, _frame: None)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        number = int(name)
        if number > 2 and number != pipe:
            try:
                os.close(number)
            except OSError:
                pass
    sys.stdin = sys.stdout = sys.stderr = open(os.devnull, "r+")


def _tell(pipe: int, data: bytes) -> bool:
    try:
        return os.write(pipe, data) == len(data)
    except OSError:
        return False


def _line(descriptor: int) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(descriptor, 1)
        if not piece:
            break
        data += piece
    return data
