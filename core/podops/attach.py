"""The command that puts a person's terminal into a run's tmux session."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from podops.config.model import PodConfig
from podops.errors import UsageError
from podops.transport.docker_host import behind_ssh, client_script, ssh_hop

#: A pod that does not know this terminal by name would refuse it; what this one can do, nearly all of them can.
_KNOWN_TERM = "infocmp >/dev/null 2>&1 || TERM=xterm-256color; export TERM; exec "


def attach_argv(pod: PodConfig, session: str | None, socket: str, *, nested: bool = False) -> list[str]:
    """Argument list to run on a terminal, which is told in its status line how to come back.

    `nested` says that this terminal is itself inside tmux. Raises `UsageError` for a run without a session.
    """
    if session is None:
        raise UsageError("this run has no tmux session to attach to")
    # The status line belongs to the session: a `set-option` that follows `attach-session` means the one attached to.
    status = ["set-option", "status-right", f" {leave_keys(nested)} comes back to ops "]
    length = ["set-option", "status-right-length", "60"]
    tmux = ["tmux", "-u", "-L", socket, "attach-session", "-t", f"={session}", ";", *length, ";", *status]
    if pod.local:
        return ["env", "-u", "TMUX", *tmux]
    shell = ["sh", "-c", _KNOWN_TERM + shlex.join(tmux)]
    if pod.docker:
        return _in_container(pod, shell)
    return [*_ssh(pod), pod.ssh or "", shlex.join(shell)]


def _ssh(pod: PodConfig) -> list[str]:
    argv = ["ssh", "-t"]
    for flag, value in (("-F", pod.ssh_config), ("-p", pod.port), ("-i", pod.identity_file)):
        if value is not None:
            argv += [flag, str(value)]
    return [*argv, "--"]


def _in_container(pod: PodConfig, shell: Sequence[str]) -> list[str]:
    """By the engine's own client; on the engine's machine when that is behind SSH."""
    user = ["-u", pod.user] if pod.user else []
    words = f'exec -it -e "TERM=$TERM" {shlex.join([*user, pod.docker or "", *shell])}'
    script = ["sh", "-c", client_script(pod.docker_host, words)]
    if not behind_ssh(pod.docker_host):
        return script
    hop = ssh_hop(pod)
    return [*_ssh(hop), hop.ssh or "", shlex.join(script)]


def leave_keys(nested: bool) -> str:
    """The keys that detach. Inside another tmux the outer one takes the first `ctrl-b`; pressed twice it passes on."""
    return "ctrl-b ctrl-b d" if nested else "ctrl-b d"
