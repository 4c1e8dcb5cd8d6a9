"""Finding the agent of this machine, starting it, waking it; what it does is in `agent`."""

import os
import signal
import time
import zlib

from podops_runners import machine, process, program, queue_gate, records
from podops_runners.typed import Any, Dict, List, Optional

LOCK = "agent"
RECORD = "agent.json"

#: Held by the one who starts an agent, until that has its own lock.
_START_LOCK = "agent-start"

#: A killed agent holds its lock until the kernel has taken it apart, seconds.
_DYING_S = 2.0

#: An agent that was started just now takes its lock within this time, seconds.
_COMING_S = 2.0

#: The tmux session of the agent, on a server of its own that no project ends.
SESSION = "podops-agent"


def ensure_running(settings: Any = None) -> None:
    """Start the agent unless one is there. Never raises: a pod without an agent is no reason to fail.

    `settings` is the spec's `tmux`: where a project does without tmux, the agent does too.
    """
    try:
        if _is_free():
            with machine.locked(_START_LOCK):
                _start_unless_started(settings)
    except OSError:
        pass


def _start_unless_started(settings: Any) -> None:
    if not _is_free() or queue_gate.is_closed():
        return
    # Here, because nearly every look finds one.
    from podops_runners import launch

    command = program.command("agent")
    enabled = not isinstance(settings, dict) or settings.get("enabled", True)
    if not (enabled and _in_tmux(command)):
        launch.detach(command)
    deadline = time.monotonic() + _COMING_S
    while _is_free() and time.monotonic() < deadline:
        time.sleep(0.02)


def _in_tmux(command: List[str]) -> bool:
    """Start it in a session of its own; False where that cannot be."""
    from podops_runners import launch, tmux

    deadline = time.monotonic() + _COMING_S
    while tmux.available() is not None:
        try:
            tmux.new_session(socket(), SESSION, command, machine.directory(), stay=False)
            return True
        except tmux.TmuxError as error:
            if not launch.is_passing(error) or time.monotonic() > deadline:
                return False
            time.sleep(0.1)
    return False


def _is_free() -> bool:
    """Whether no agent lives, and none is just coming."""
    deadline = time.monotonic() + _DYING_S
    while True:
        held = machine.take_lock(LOCK)
        if held is not None:
            os.close(held)
            return True
        if status() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def socket() -> str:
    """A server for each state directory: two of them on one machine have an agent each."""
    chosen = os.environ.get(machine.STATE_DIR_VARIABLE)
    return "{}-{:08x}".format(SESSION, zlib.crc32(chosen.encode())) if chosen else SESSION


def replace_older() -> None:
    """End an agent that was started from another archive than ours, so that ours takes its place."""
    record = status()
    if record is not None and record.get("archive") != program.archive():
        end()


def end() -> None:
    """End the agent, if there is one, and wait until it has gone; runs go on without it."""
    record = status()
    if record is None:
        return
    try:
        os.kill(record["agent"]["pid"], signal.SIGTERM)
    except OSError:
        return
    deadline = time.monotonic() + 5.0
    while status() is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def status() -> Optional[Dict[str, Any]]:
    """The record of the agent that lives, or `None`."""
    try:
        record, _ = records.read_record(machine.path_of(RECORD))
    except OSError:
        return None
    return record if record is not None and process.is_alive(record.get("agent")) else None
