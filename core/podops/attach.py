"""The commands that put a person's terminal on a pod: into a run's tmux session, or into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from podops.config.model import PodConfig
from podops.errors import PodActionError, UsageError
from podops.transport.docker_host import behind_ssh, client_script, ssh_hop
from podops.transport.openssh_config import config_flags
from podops.transport.pod_key import check_key

if TYPE_CHECKING:
    from podops.fleet.snapshot import RunSnapshot

#: The exit code of `attach_argv` where the pod has no such session: one that no shell, ssh or engine has of its own.
NO_SESSION = 69

#: A pod that does not know this terminal by name would refuse it; what this one can do, nearly all of them can.
_KNOWN_TERM = "infocmp >/dev/null 2>&1 || TERM=xterm-256color; export TERM; "

#: A container seldom says which shell its user has.
_ANY_SHELL = "command -v bash >/dev/null && exec bash -l; exec sh -l"


def cannot_attach(run: RunSnapshot) -> str:
    """Why there is nothing of `run` to attach to, in words that follow its name; empty where there should be."""
    if run.waiting or run.ended:
        return run.not_started or "has ended"
    return "" if run.session else "has no tmux session"


def session_gone(run: RunSnapshot) -> PodActionError:
    """What to tell when attaching has ended with `NO_SESSION`."""
    return PodActionError(
        f"run {run.run_id} has no tmux session on pod {run.pod} now: it has just ended, or its tmux has",
        f"`ops run status {run.run_id}` tells which; its log can be read without one: ops run tail -f {run.run_id}",
    )


def attach_argv(pod: PodConfig, session: str | None, socket: str, *, nested: bool = False) -> list[str]:
    """Argument list to run on a terminal, which is told in its status line how to come back.

    `nested` says that this terminal is itself inside tmux. Ends with `NO_SESSION` and without a word where the pod has
    no such session. Raises `UsageError` for a run without one, and `RefusedError` where the pod's key is not there.
    """
    if session is None:
        raise UsageError("this run has no tmux session to attach to")
    # The status line belongs to the session: a `set-option` that follows `attach-session` means the one attached to.
    status = ["set-option", "status-right", f" {leave_keys(nested)} comes back to ops "]
    length = ["set-option", "status-right-length", "60"]
    # tmux shows ten columns of a name, the same ones for every run; with more, how to come back needs 80 beside it.
    name = ["set-option", "status-left-length", "40"]
    options = [";", *name, ";", *length, ";", *status]
    tmux, there = ["tmux", "-u", "-L", socket], ["-t", f"={session}"]
    # What tmux itself would say is no help to anybody; a tmux that cannot be run at all may speak for itself.
    look = f"{shlex.join([*tmux, 'has-session', *there])} 2>/dev/null; [ $? != 1 ] || exit {NO_SESSION}; "
    script = f"{look}exec {shlex.join([*tmux, 'attach-session', *there, *options])}"
    if pod.local:
        return ["env", "-u", "TMUX", "sh", "-c", script]
    shell = ["sh", "-c", _KNOWN_TERM + script]
    if pod.docker:
        return _in_container(pod, shell, terminal=True)
    return [*_ssh(pod, "-t"), shlex.join(shell)]


def shell_argv(pod: PodConfig, command: Sequence[str], shell: str, *, terminal: bool) -> list[str]:
    """Argument list for a login on the pod, or for a command there: words that its shell reads, as with `ssh`.

    `shell` is the one to use where the pod is this machine; `terminal` says that we are on one. Raises `RefusedError`
    where the pod's key is not there.
    """
    line = " ".join(command)
    if pod.local:
        return [shell, "-c", line] if command else [shell]
    if pod.docker:
        return _in_container(pod, ["sh", "-c", line or _ANY_SHELL], terminal=terminal)
    return [*_ssh(pod), *command]


def _ssh(pod: PodConfig, *options: str) -> list[str]:
    check_key(pod)
    argv = ["ssh", *options, *config_flags(pod.ssh_config)]
    for flag, value in (("-p", pod.port), ("-i", pod.identity_file)):
        if value is not None:
            argv += [flag, str(value)]
    return [*argv, "--", pod.ssh or ""]


def _in_container(pod: PodConfig, shell: Sequence[str], *, terminal: bool) -> list[str]:
    """By the engine's own client; on the engine's machine when that is behind SSH."""
    user = ["-u", pod.user] if pod.user else []
    flags = '-it -e "TERM=$TERM"' if terminal else "-i"
    words = f"exec {flags} {shlex.join([*user, pod.docker or '', *shell])}"
    script = ["sh", "-c", client_script(pod.docker_host, words)]
    if not behind_ssh(pod.docker_host):
        return script
    return [*_ssh(ssh_hop(pod), *(["-t"] if terminal else [])), shlex.join(script)]


def leave_keys(nested: bool) -> str:
    """The keys that detach. Inside another tmux the outer one takes the first `ctrl-b`; pressed twice it passes on."""
    return "ctrl-b ctrl-b d" if nested else "ctrl-b d"
