"""`ops pod ssh`."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from podops.cli.context import Options
from podops.cli.project_names import complete_pods
from podops.errors import NotFoundError, PodopsError


@click.command("ssh", context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="POD", shell_complete=complete_pods)
@click.argument("words", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ssh(options: Options, name: str, words: tuple[str, ...]) -> int:
    """Log in to a pod, or run a command there.

    Through OpenSSH's own client, with the pod's port, key and configuration; in a container through the engine's
    client; on a local pod, a shell of this machine. Its exit code is passed on.
    """
    from podops.attach import shell_argv
    from podops.config.reader import nearest

    pods = options.project().pods
    if name not in pods:
        raise NotFoundError(f"there is no pod {name!r}", nearest(name, pods))
    shell = os.environ.get("SHELL") or "/bin/sh"
    argv = shell_argv(pods[name], words, shell, terminal=sys.stdin.isatty() and sys.stdout.isatty())
    try:
        status = subprocess.run(argv, check=False).returncode
    except FileNotFoundError:
        raise PodopsError(f"{argv[0]} is not installed on this machine", "install openssh-client") from None
    return status if status >= 0 else 128 - status
