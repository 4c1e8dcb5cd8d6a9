"""A real SSH agent that holds keys, for as long as a test wants it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pods.loopback import wait_for


@contextmanager
def agent_with(folder: Path, *keys: Path) -> Iterator[Path]:
    """An agent that holds `keys`; its socket."""
    path = folder / "agent"
    # It loads the libraries of security keys only from where it is told.
    command = ["ssh-agent", "-D", "-a", str(path), "-P", f"{folder.resolve()}/*"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as agent:
        try:
            env = {**os.environ, "SSH_AUTH_SOCK": str(path)}
            # 2 says that there is no agent to speak with yet.
            ask = ["ssh-add", "-l"]
            wait_for(lambda: subprocess.run(ask, env=env, capture_output=True).returncode != 2, "the agent")
            for key in keys:
                subprocess.run(["ssh-add", "-q", key], check=True, env=env)
            yield path
        finally:
            agent.terminate()
