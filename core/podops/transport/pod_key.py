"""The private key that the project file names for a pod."""

from __future__ import annotations

from pathlib import Path

from podops.config.model import PodConfig
from podops.errors import RefusedError


def expand(name: str) -> Path:
    """The file that a person means by `name`, with `~` and `%d`, the home directory."""
    return Path(name.replace("%d", str(Path.home())).replace("%%", "%")).expanduser()


def check_key(pod: PodConfig) -> None:
    """Raises `RefusedError` when the pod's `identity_file` is not there: `ssh` would log in with any other key."""
    if pod.identity_file and not expand(pod.identity_file).is_file():
        message = f"pod {pod.name} wants the key {pod.identity_file}, which is not there"
        raise RefusedError(message, "correct its `identity_file`")
