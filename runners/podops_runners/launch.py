"""From a run in the queue to a supervisor at work."""

import os
import time
import zlib

from podops_runners import at_work, end_facts, gpu_claims, machine, program, protocol, records, run_claim, states, tmux
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event, iso
from podops_runners.runid import session_name
from podops_runners.submit_error import SubmitError
from podops_runners.typed import Any, Dict, List, Optional, Sequence

#: What tmux says while the session of a supervisor that has just died is still there, or its server is just ending,
#: and how long that lasts at most, seconds.
_PASSING = ("duplicate session", "server exited", "lost server")
_CLOSING_S = 2.0


def launch(run: RunDir, spec: Dict[str, Any], gpus: Sequence[int] = (), attempts: int = 0) -> None:
    """Claim the run and its GPUs and start its supervisor; `attempts` were made before.

    Raises `FileExistsError` when somebody else started it, `ValueError` for a GPU held by another run, `SubmitError`
    when no supervisor can be started (the run has failed then), else `OSError`.
    """
    simulated = bool((spec.get("gpus") or {}).get("simulated"))
    if gpus:
        gpu_claims.claim(gpus, run.path, simulated)
    try:
        token = run_claim.create(run, gpus, attempts + 1)
    except OSError:
        if gpus:
            gpu_claims.release(run.path)
        raise
    begin(run, spec, token)


def begin(run: RunDir, spec: Dict[str, Any], token: str) -> None:
    """Start the supervisor of a run claimed by `token`. Raises `SubmitError` when none can be started."""
    try:
        start_supervisor(run, spec, token)
    except OSError as error:
        _could_not_start(run, str(error))
        raise SubmitError(protocol.E_FAILED, "run {} could not be started: {}".format(run.run_id, error))


def start_supervisor(run: RunDir, spec: Dict[str, Any], token: str) -> None:
    """In a tmux session of its own; without one where the project does without, or tmux refuses: better a run that
    nobody can attach to than none. Raises `OSError`."""
    command = program.command("supervise", run.path, token)
    settings = spec.get("tmux") or {}
    if settings.get("enabled", True) and tmux.available():
        session = session_name(str(settings.get("session_prefix", "run")), run.run_id)
        try:
            return _open_session(str(settings.get("socket") or "podops"), session, command, run)
        except tmux.TmuxError as error:
            event(run, "no_session", detail=str(error))
    detach(command)


def _open_session(socket: str, session: str, command: List[str], run: RunDir) -> None:
    deadline = time.monotonic() + _CLOSING_S
    own = "{}-{:08x}".format(session, zlib.crc32(os.fsencode(run.path)))
    while True:
        try:
            return tmux.new_session(socket, session, command, run.path)
        except tmux.TmuxError as error:
            if session != own and tmux.directory_of(socket, session) not in ("", run.path):
                # Another project has a run of this id, and its session the name.
                _note_session(run, own)
                session = own
                continue
            if not is_passing(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def is_passing(error: tmux.TmuxError) -> bool:
    """Whether tmux refused a session only because one of that name, or its server, is just ending."""
    return any(text in str(error) for text in _PASSING)


def _note_session(run: RunDir, session: str) -> None:
    metadata, _ = records.read_record(run.metadata)
    if metadata is not None:
        settings = metadata.get("tmux")
        told = dict(settings if isinstance(settings, dict) else {}, session=session)
        records.write_record(run.metadata, dict(metadata, tmux=told))


def detach(command: List[str]) -> None:
    """Start a process that no terminal and no link can take along when it goes. Raises `OSError`."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.execve(command[0], command, tmux.clean_environment())
    finally:
        os._exit(127)


def end_unstarted(
    run: RunDir,
    state: str,
    reason: str,
    detail: str,
    attempts: int = 0,
    ended: Optional[float] = None,
    exit_code: Optional[int] = None,
    signal: Optional[int] = None,
) -> None:
    """Write the summary of a run that no supervisor brought to its end, at `ended` or now. Raises `OSError`."""
    claim, _ = records.read_record(run.claim)
    started: Optional[float] = records.number((claim or {}).get("started"))
    now = time.time() if ended is None else ended
    record: Dict[str, Any] = {
        "run_id": run.run_id,
        "ok": state == states.SUCCEEDED,
        "state": state,
        "reason": reason,
        "detail": detail,
        "evidence": {"source": "agent"},
        "exit_code": exit_code,
        "signal": signal,
        "started_at": None if started is None else iso(started),
        "ended_at": iso(now),
        "started": started,
        "ended": round(now, 3),
        "elapsed_s": 0.0 if started is None else round(max(0.0, now - started), 3),
        "attempts": attempts,
    }
    if not end_facts.tells_end(run.events):
        event(run, "ended", state=state, reason=reason, detail=detail)
    records.write_record(run.summary, record)
    gpu_claims.release(run.path)
    at_work.forget(run.path)
    machine.wake_agent()


def _could_not_start(run: RunDir, why: str) -> None:
    try:
        end_unstarted(run, states.FAILED, "spawn_failed", why)
    except OSError:
        pass
