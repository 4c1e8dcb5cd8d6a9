"""Pods that come and go while the app is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from podops.config.load import load_project
from podops_tui.app import OpsApp
from tests.pods.conftest import MakeProject, MakeSshPod
from tests.pods.provider import Provider
from tests.terminal.test_app_pilot import drawn, until_drawn


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """A source is asked every five seconds at most, so drawing alone would not wait long enough."""
    async with asyncio.timeout(20):
        while not condition():
            await pilot.pause(0.1)


async def test_a_rented_pod_appears_in_the_app_can_be_chosen_and_is_shown_as_gone(
    world: Path, project: MakeProject, ssh_pod: MakeSshPod
) -> None:
    provider, rented = Provider(world / "provider"), ssh_pod("rented")
    made = project("here", pod_sources=[provider.source(rented.ssh_config, interval="5s")])
    app = OpsApp(load_project(path=made.file, environ={}))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_drawn(pilot, app, "here")
        assert "rented" not in drawn(app)
        provider.tell(rented)
        await until(pilot, lambda: "rented" in app.fleet.snapshot.pods)
        await until_drawn(pilot, app, "rented")
        await pilot.press("s")
        await until_drawn(pilot, app, "Submit a run")
        assert "rented" in drawn(app)
        await pilot.press("escape")
        provider.tell()
        await until(pilot, lambda: app.fleet.snapshot.pods["rented"].state == "gone")
        assert "tells of it no more" in await until_drawn(pilot, app, "gone")
