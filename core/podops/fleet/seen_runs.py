"""The runs seen last, kept on this machine for shells to complete their ids: asking the pods would take too long.

Nothing else reads it, and losing it costs nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.snapshot import FleetSnapshot

#: So many of the newest are kept.
_MOST = 500


@dataclass(frozen=True, slots=True)
class SeenRun:
    """One run as it was when it was seen. `created_at` is Unix time, 0 when unknown."""

    run_id: str
    pod: str
    preset: str
    state: str
    created_at: float


def remember(config: ProjectConfig, fleet: FleetSnapshot) -> None:
    """Keep the runs of `fleet`, and those seen before of the pods it tells nothing of. Never raises."""
    told = {name for name, pod in fleet.pods.items() if pod.listed}
    before = [run for run in recall(config) if run.pod in config.pods and run.pod not in told]
    now = [SeenRun(run.run_id, run.pod, run.preset, run.state, run.created_at or 0.0) for run in fleet.runs()]
    if told:
        _keep(config, [*(run for run in now if run.pod in told), *before])


def add(config: ProjectConfig, run: SeenRun) -> None:
    """Keep one more run, which was submitted just now. Never raises."""
    _keep(config, [run, *(other for other in recall(config) if (other.run_id, other.pod) != (run.run_id, run.pod))])


def _keep(config: ProjectConfig, runs: list[SeenRun]) -> None:
    kept = sorted(runs, key=lambda run: run.created_at, reverse=True)[:_MOST]
    path = _path(config)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as stream:
            json.dump([asdict(run) for run in kept], stream)
        Path(stream.name).replace(path)


def recall(config: ProjectConfig) -> list[SeenRun]:
    """The runs seen last, newest first; empty when that cannot be read."""
    try:
        stored = json.loads(_path(config).read_bytes())
        return [_seen(entry) for entry in stored]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _seen(entry: dict[str, Any]) -> SeenRun:
    words = {name: str(entry[name]) for name in ("run_id", "pod", "preset", "state")}
    return SeenRun(**words, created_at=float(entry["created_at"]))


def _path(config: ProjectConfig) -> Path:
    """One file for each project file."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(cache) if cache.startswith("/") else Path("~/.cache").expanduser()
    name = hashlib.sha256(str(config.sources[0].resolve() if config.sources else "").encode()).hexdigest()[:16]
    return root / "podops" / f"seen-{name}.json"
