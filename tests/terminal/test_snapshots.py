"""What the screens look like: pictures to compare with, taken from the recorded fleet."""

from __future__ import annotations

from collections.abc import Callable
from time import tzset
from typing import Any

import pytest
from textual.pilot import Pilot

import podops_tui.screens.submit
from podops_tui.app import OpsApp
from tests.terminal.recorded_fleet import CONFIG, recorded
from tests.terminal.recorded_queue import recorded_busy
from tests.terminal.test_app_pilot import SIZES, until_drawn

#: Screens of the fleet whose runs wait, fail and are tried again; the others are of the quiet one.
OF_THE_BUSY = ("busy", "queue", "cancel", "move", "failed", "submit", "after")

#: The keys that lead to each screen, and a text that shows it is drawn.
SCREENS = {
    "busy": ([], "#2"),
    "queue": (["o", "home"], "· queue"),
    "cancel": (["home", "x"], "Cancel this run?"),
    "move": (["home", "M"], "Move this run to"),
    "failed": (["slash", *"oom_gpu", "enter", "enter", "7"], "train.py:212"),
    "submit": (["s", "tab", "home"], "starts at once"),
    "after": (["s", "tab", "home", *["tab"] * 5, "enter", "space"], "success"),
    "fleet": ([], "done"),
    "kill": (["space", "space", "x"], "End these 2 runs?"),
    "help": (["question_mark"], "Submit again"),
    "metrics": (["m"], "loss by step"),
    "pod": (["1", "home", "enter"], "node-7"),
}


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_looks_as_it_did(
    snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int]
) -> None:
    keys, text = SCREENS[name]
    monkeypatch.setenv("TZ", "UTC")
    tzset()
    monkeypatch.setattr(podops_tui.screens.submit, "new_run_id", lambda preset: f"{preset}-1")
    app = OpsApp(CONFIG, fleet=(recorded_busy if name in OF_THE_BUSY else recorded)()[1])

    async def reach(pilot: Pilot[Any]) -> None:
        await until_drawn(pilot, app, "done")
        await pilot.press(*keys)
        await until_drawn(pilot, app, text)

    assert snap_compare(app, terminal_size=size, run_before=reach)
