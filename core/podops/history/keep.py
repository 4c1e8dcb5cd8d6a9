"""The history of a project, as its file and the environment want it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from podops.config.model import ProjectConfig
from podops.history.history import History
from podops.state_dir import state_dir


def history_of(config: ProjectConfig, environ: Mapping[str, str], tell: Callable[[str], None]) -> History | None:
    """`None` when none is to be kept. `tell` is called, from any thread, with what a person should know, once each."""
    if not config.history.enabled:
        return None
    return History(config.name, state_dir(environ), config.history.max_bytes, tell)
