"""A real terminal for the app, and the pods of `tests/pods` for it to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from podops.fleet.fleet import Fleet
from tests.pods.conftest import client_home, ops, project, ssh_pod, tmux_socket, world
from tests.terminal.terminal import Terminal
from tests.terminal.typed_log import TypedLog, fleet_with

__all__ = ["client_home", "ops", "project", "ssh_pod", "terminal", "tmux_socket", "world"]


@pytest.fixture
def terminal(world: Path, tmux_socket: str) -> Iterator[Terminal]:
    """Closed before the pods are: what the app started on them has to end with it."""
    found = Terminal(f"podops-test-{uuid4().hex[:8]}")
    yield found
    found.close()


@pytest.fixture
def log() -> TypedLog:
    return TypedLog()


@pytest.fixture
def fleet(log: TypedLog, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """One whose runs all have `log`."""
    return fleet_with(log, monkeypatch)
