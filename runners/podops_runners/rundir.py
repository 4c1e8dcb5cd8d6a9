"""The run directory: the one place that knows the names of its files."""

import os

from podops_runners.typed import NamedTuple

SPEC = "run_spec.json"
COMMAND = "command.sh"
METADATA = "run_metadata.json"
CONFIG_EFFECTIVE = "config_effective.json"
STDOUT_LOG = "stdout.log"
STDOUT_INDEX = "stdout.idx"
HEARTBEAT = "heartbeat.txt"
METRICS = "metrics.jsonl"
ATTEMPTS = "attempts.jsonl"
EVENTS = "events.jsonl"
SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"

#: Our own coordination files, out of the researcher's way.
PRIVATE = ".ops"
_CLAIM = "claim.json"
_KILL_REQUEST = "kill.json"
_HELD = "held"
_MOVING = "moving.json"
_TICKET = "queue.json"
_CHILD = "child.json"
_EXIT = "exit.json"
_SCRAPED = "scraped"
_SUPERVISOR_LOG = "supervisor.log"

#: Files a link may read on behalf of a client. A name outside this list is refused.
READABLE = (SPEC, COMMAND, METADATA, CONFIG_EFFECTIVE, STDOUT_LOG, STDOUT_INDEX, METRICS, EVENTS, ATTEMPTS)


class Layout(NamedTuple):
    """The two file names a project may choose (`tmux.heartbeat_file`, `artifact_contract.completion_file`)."""

    heartbeat: str = HEARTBEAT
    completion: str = SUMMARY


#: The names a project gets that chooses none.
STANDARD = Layout()


class RunDir:
    """Every path of one run."""

    def __init__(self, path: str, layout: Layout = STANDARD) -> None:
        self.path = path
        self.layout = layout
        # Put together by hand: this is done for each of a thousand runs, again and again.
        inside = os.path.join(path, "")
        private = inside + PRIVATE + os.sep
        self.run_id = os.path.basename(os.path.normpath(path))
        self.spec = inside + SPEC
        self.command = inside + COMMAND
        self.metadata = inside + METADATA
        self.config_effective = inside + CONFIG_EFFECTIVE
        self.stdout_log = inside + STDOUT_LOG
        self.stdout_index = inside + STDOUT_INDEX
        self.heartbeat = inside + layout.heartbeat
        self.metrics = inside + METRICS
        self.events = inside + EVENTS
        self.attempts = inside + ATTEMPTS
        self.summary = inside + layout.completion
        self.checkpoints = inside + CHECKPOINTS
        self.private = inside + PRIVATE
        self.claim = private + _CLAIM
        self.kill_request = private + _KILL_REQUEST
        self.held = private + _HELD
        self.moving = private + _MOVING
        self.ticket = private + _TICKET
        self.child = private + _CHILD
        self.scraped = private + _SCRAPED
        self.exit = private + _EXIT
        self.supervisor_log = private + _SUPERVISOR_LOG

    def readable(self, name: str) -> str:
        """The path of a file a client may read. Raises `KeyError` for any other name."""
        if name == "heartbeat":
            return self.heartbeat
        if name == "summary":
            return self.summary
        if name not in READABLE:
            raise KeyError(name)
        return os.path.join(self.path, name)
