"""The command that puts a person's terminal into a run's tmux session."""

from __future__ import annotations

import shlex

from podops.config.model import PodConfig
from podops.errors import UsageError


def attach_argv(pod: PodConfig, session: str | None, socket: str) -> list[str]:
    """Argument list to run on a terminal. Raises `UsageError` for a run without a session."""
    if session is None:
        raise UsageError("this run has no tmux session to attach to")
    tmux = ["tmux", "-L", socket, "attach-session", "-t", f"={session}"]
    if pod.local:
        return ["env", "-u", "TMUX", *tmux]
    argv = ["ssh", "-t"]
    for flag, value in (("-F", pod.ssh_config), ("-p", pod.port), ("-i", pod.identity_file)):
        if value is not None:
            argv += [flag, str(value)]
    return [*argv, "--", pod.ssh or "", shlex.join(tmux)]
