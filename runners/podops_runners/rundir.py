"""The run directory: the one place that knows the names of its files."""

import os
from typing import NamedTuple

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
        self.run_id = os.path.basename(os.path.normpath(path))
        self.spec = os.path.join(path, SPEC)
        self.command = os.path.join(path, COMMAND)
        self.metadata = os.path.join(path, METADATA)
        self.config_effective = os.path.join(path, CONFIG_EFFECTIVE)
        self.stdout_log = os.path.join(path, STDOUT_LOG)
        self.stdout_index = os.path.join(path, STDOUT_INDEX)
        self.heartbeat = os.path.join(path, layout.heartbeat)
        self.metrics = os.path.join(path, METRICS)
        self.events = os.path.join(path, EVENTS)
        self.attempts = os.path.join(path, ATTEMPTS)
        self.summary = os.path.join(path, layout.completion)
        self.checkpoints = os.path.join(path, CHECKPOINTS)
        self.private = os.path.join(path, PRIVATE)
        self.claim = os.path.join(self.private, _CLAIM)
        self.kill_request = os.path.join(self.private, _KILL_REQUEST)
        self.held = os.path.join(self.private, _HELD)
        self.ticket = os.path.join(self.private, _TICKET)
        self.child = os.path.join(self.private, _CHILD)
        self.scraped = os.path.join(self.private, _SCRAPED)
        self.exit = os.path.join(self.private, _EXIT)
        self.supervisor_log = os.path.join(self.private, _SUPERVISOR_LOG)

    def readable(self, name: str) -> str:
        """The path of a file a client may read. Raises `KeyError` for any other name."""
        if name == "heartbeat":
            return self.heartbeat
        if name == "summary":
            return self.summary
        if name not in READABLE:
            raise KeyError(name)
        return os.path.join(self.path, name)
