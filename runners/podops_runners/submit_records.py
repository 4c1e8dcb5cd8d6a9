"""The records a run has from its submit on."""

import os

from podops_runners import git_state, process
from podops_runners.runfiles import iso
from podops_runners.typed import Any, Dict, Optional


def metadata(spec: Dict[str, Any], session: Optional[str]) -> Dict[str, Any]:
    git = dict(spec.get("git") or {})
    git.update(git_state.read(spec["workdir"]))
    return {
        "run_id": spec["run_id"],
        "project": spec.get("project"),
        "preset": spec["preset"],
        "kind": spec["kind"],
        "pod": {"name": spec["pod"], "host": os.uname().nodename, "id": process.machine_id()},
        "git": git,
        "created": spec.get("created_at") or iso(),
        "submitted": iso(),
        "started": None,
        "user": spec.get("user"),
        "client": spec.get("client"),
        "gpus": None,
        "attempt": 1,
        "tmux": {"session": session, "socket": (spec.get("tmux") or {}).get("socket")},
        "tags": spec.get("tags") or [],
        "warnings": spec.get("warnings") or [],
    }


def config_effective(spec: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "config": spec.get("config"),
        "overrides": spec.get("overrides") or {},
        "derived": spec.get("derived") or {},
        "command": spec["command"],
        "env": spec["env"],
    }
