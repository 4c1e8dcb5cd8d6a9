"""Every error a user can meet, as one tree.

PodopsError            code, message, hint, exit code 1
├── UsageError         2  wrong arguments
├── ConfigError        2  the project file has faults; carries all of them
├── NotFoundError      3  no such pod, preset or run
├── UnreachableError   4  the pod did not answer
│   ├── RefusedError   4  the pod answered and said no: key, host key, user (never retried in a loop)
│   └── PodSetupError  4  the pod answered but cannot host a link: no python3, too old, no writable place
├── RefusedActionError 5  the action would overwrite, leak or take what is in use
├── SourceError        1  a provider's own command failed, or its answer cannot be used
├── PodActionError     1  the pod tried and failed: no tmux, disk full, unwritable outputs root
└── ProtocolError      4  what the pod sent is not our protocol
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class PodopsError(Exception):
    """Says what happened, to which pod or run, and (in `hint`) what to do about it."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.error_code = code or self.code


class UsageError(PodopsError):
    code = "usage"
    exit_code = 2


class ConfigFault(NamedTuple):
    """One fault in a project file. `line` counts from 1; 0 when the fault has no line of its own."""

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(PodopsError):
    code = "config"
    exit_code = 2

    def __init__(self, message: str, hint: str = "", *, faults: tuple[ConfigFault, ...] = ()) -> None:
        super().__init__(message, hint)
        self.faults = faults


class NotFoundError(PodopsError):
    code = "not_found"
    exit_code = 3


class UnreachableError(PodopsError):
    code = "unreachable"
    exit_code = 4


class RefusedError(UnreachableError):
    code = "refused"


class PodSetupError(UnreachableError):
    code = "pod_setup"


class RefusedActionError(PodopsError):
    code = "refused"
    exit_code = 5


class PodActionError(PodopsError):
    code = "pod_failed"


class SourceError(PodopsError):
    code = "source_failed"


class ProtocolError(UnreachableError):
    code = "protocol"
