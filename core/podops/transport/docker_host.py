"""What a `docker_host` means: which machine it is on, and how an engine's own client is called there."""

from __future__ import annotations

import shlex
from dataclasses import replace
from urllib.parse import urlsplit

from podops.config.model import PodConfig
from podops.errors import RefusedError


def behind_ssh(docker_host: str | None) -> bool:
    return (docker_host or "").startswith("ssh://")


def ssh_hop(pod: PodConfig) -> PodConfig:
    """The machine of `docker_host: ssh://…` as a pod of its own. Raises `RefusedError` when it is no such address."""
    try:
        parts = urlsplit(pod.docker_host or "")
        port = parts.port
    except ValueError as error:
        raise RefusedError(f"docker_host of pod {pod.name}: {error}", "write ssh://user@host:port") from error
    # `hostname` would lower the case of an alias.
    user, at, place = parts.netloc.rpartition("@")
    name = place.partition("]")[0] + "]" if place.startswith("[") else place.partition(":")[0]
    if not name or name.startswith("-") or user.startswith("-"):
        raise RefusedError(f"docker_host of pod {pod.name} names no host", "write ssh://user@host:port")
    return replace(pod, docker=None, docker_host=None, ssh=f"{user}{at}{name}", port=port or pod.port)


def client_script(docker_host: str | None, words: str) -> str:
    """A line for `sh`: the docker command with `words` (already quoted), or podman's where there is none.

    For an engine behind SSH it is a line for that machine.
    """
    engine = docker_host or ""
    if behind_ssh(engine):
        path = urlsplit(engine).path.rstrip("/")
        engine = f"unix://{path}" if path else ""
    docker, podman = (f" {flag} {shlex.quote(engine)}" if engine else "" for flag in ("-H", "--url"))
    return f"command -v docker >/dev/null && exec docker{docker} {words}; exec podman{podman} {words}"
