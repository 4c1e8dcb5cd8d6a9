"""Which commit a directory holds, as git itself tells."""

import os
import subprocess

from podops_runners.typed import Any, Dict, Optional


def read(directory: str) -> Dict[str, Any]:
    """`commit`, `branch` and `dirty` of the work tree at `directory`; empty where there is none or no git."""
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return {}
    status = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(directory, "rev-parse", "--abbrev-ref", "HEAD"),
        "dirty": bool(status) if status is not None else None,
    }


def _git(directory: str, *arguments: str) -> Optional[str]:
    try:
        done = subprocess.run(
            ["git", "-C", directory] + list(arguments),
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": os.environ.get("HOME", "/"),
                "LC_ALL": "C",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None
