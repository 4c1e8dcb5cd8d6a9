"""What a client tells a pod about itself and its project."""

from __future__ import annotations

import os
import socket
from typing import Any

from podops.config.model import PodConfig, ProjectConfig
from podops.fleet.attention import Pace
from podops_runners import __version__
from podops_runners.protocol import PROTOCOL_VERSION


def hello(config: ProjectConfig, pod: PodConfig, pace: Pace) -> dict[str, Any]:
    """The fields of the first request on a link."""
    layout = {"heartbeat": config.tmux.heartbeat_file, "completion": config.artifacts.completion_file}
    project = {"name": config.name, "outputs_dir": pod.outputs_dir, "layout": layout}
    return {
        "protocol": PROTOCOL_VERSION,
        "version": __version__,
        "projects": [project],
        **pace.fields(),
        "simulate_gpus": pod.simulated_gpus,
        "pod": pod.name,
        "tmux": {"enabled": config.tmux.enabled, "socket": config.tmux.socket},
        "gpu_busy_bytes": config.queue.gpu_busy_bytes,
    }


def who() -> str:
    """Who asks: `user@host` of this machine, for a run's records."""
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or _account()
    return f"{user}@{socket.gethostname()}"


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
