"""The app's pauses for collecting garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from podops_tui import pauses


@pytest.fixture
def collector() -> Iterator[None]:
    """Pytest's process goes on as it was."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_is_loaded_is_left_out_of_collections_while_the_app_runs_and_no_longer() -> None:
    loaded, before = len(gc.get_objects()), gc.get_threshold()
    with pauses.shortened():
        assert len(gc.get_objects()) < loaded / 10
        assert gc.get_threshold() != before
    assert len(gc.get_objects()) >= loaded
    assert gc.get_threshold() == before


@pytest.mark.usefixtures("collector")
def test_garbage_that_goes_round_in_circles_is_still_freed() -> None:
    class Circle:
        freed = 0

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Circle.freed += 1

    with pauses.shortened():
        for _ in range(20_000):
            Circle()
        assert Circle.freed > 10_000
