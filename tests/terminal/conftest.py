"""A real terminal for the app, and the pods of `tests/pods` for it to look at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

import podops_tui.screens.pod
import podops_tui.screens.run
import podops_tui.widgets.pods_table
import podops_tui.widgets.run_panes
import podops_tui.widgets.runs_table
from podops.fleet.fleet import Fleet
from tests.pods.conftest import client_home, ops, project, ssh_pod, tmux_socket, used_before, world
from tests.terminal.terminal import Terminal
from tests.terminal.typed_log import TypedLog, fleet_with

__all__ = ["client_home", "ops", "project", "ssh_pod", "terminal", "tmux_socket", "used_before", "world"]

#: Modules that read the clock to tell an age.
CLOCKED = (
    podops_tui.screens.run,
    podops_tui.screens.pod,
    podops_tui.widgets.run_panes,
    podops_tui.widgets.pods_table,
    podops_tui.widgets.runs_table,
)


@pytest.fixture
def still_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages grow while a slow machine draws; here they stand still, for the test as for what is drawn."""
    now, ticks = time.time(), time.monotonic()
    clock = SimpleNamespace(time=lambda: now, monotonic=lambda: ticks)
    for module in (*CLOCKED, request.module):
        if hasattr(module, "time"):
            monkeypatch.setattr(module, "time", clock)


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
