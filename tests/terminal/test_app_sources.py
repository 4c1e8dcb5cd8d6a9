"""Pods that come and go, and a project file that changes, while the app is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from podops.config.load import load_project
from podops_tui.app import OpsApp
from podops_tui.keeping import Keeping
from tests.pods.conftest import MakeProject, MakeSshPod
from tests.pods.provider import Provider
from tests.terminal.test_app_pilot import drawn, until, until_drawn

LOGIN = "login expired: run `cloud login`"


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
        await until(pilot, lambda: "rented" in app.fleet.snapshot.pods, "the pod")
        await until_drawn(pilot, app, "rented")
        await pilot.press("s")
        await until_drawn(pilot, app, "Submit a run")
        assert "rented" in drawn(app)
        await pilot.press("escape")
        provider.tell()
        await until(pilot, lambda: app.fleet.snapshot.pods["rented"].state == "gone", "its going")
        assert "tells of it no more" in await until_drawn(pilot, app, "gone")


async def test_changed_presets_count_at_once_and_a_broken_file_is_told_with_its_line(project: MakeProject) -> None:
    old = {"old": {"kind": "command", "command": "true"}}
    file = project("here", presets=old).file
    app = OpsApp(load_project(path=file, environ={}))

    def told() -> list[str]:
        return [note.message for note in app._notifications]

    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "live")
        project("here", presets=old | {"new": {"kind": "comand", "command": "echo right"}})
        await until(pilot, lambda: bool(told()), "a word about the file")
        line = file.read_text().split("comand")[0].count("\n") + 1
        assert told()[0].startswith(f"{file}:{line}: ") and told()[0].endswith("goes on with what it read before")
        [first], message = app._notifications, told()
        await pilot.press("R")
        await until(pilot, lambda: bool(told()) and first not in app._notifications, "it to be told again")
        assert told() == message, "R tells it again, in place of the one before"
        await pilot.press("s")
        assert "new  " not in await until_drawn(pilot, app, "old  command")
        await pilot.press("escape")
        assert app.fleet.snapshot.pods["here"].state == "live"
        project("here", presets=old | {"new": {"kind": "command", "command": "echo right"}})
        await pilot.press("R")
        await until(pilot, lambda: any("its presets count from now on" in note for note in told()), "the new presets")
        assert len(told()) == 1
        # Those before it have left no rows behind.
        await until(pilot, lambda: "▌" in drawn(app).splitlines()[0], "a notice in the first row")
        await pilot.press("s")
        await until_drawn(pilot, app, "new  command")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_source_that_fails_says_so_and_why_for_as_long_as_it_does(
    world: Path, project: MakeProject, ssh_pod: MakeSshPod, size: tuple[int, int]
) -> None:
    provider, rented = Provider(world / "provider"), ssh_pod("rented")
    provider.tell(rented)
    made = project(pod_sources=[provider.source(rented.ssh_config, interval="5s")])
    config = load_project(path=made.file, environ={})
    app = OpsApp(config, keeping=Keeping(config, share=False))
    async with app.run_test(size=size) as pilot:
        shown = await until_drawn(pilot, app, "rented")
        assert "source cloud" not in shown
        provider.fail(LOGIN)
        await until(pilot, lambda: bool(app.fleet.snapshot.sources[0].problem), "the problem")
        shown = await until_drawn(pilot, app, "source cloud failing")
        assert "login expired" in " ".join(shown.split()) and "rented" in shown
        assert any("login expired" in note.message for note in app._notifications)
        await pilot.press("1", "enter")
        page = await until_drawn(pilot, app, "cloud: failing")
        assert "1 pod as of" in " ".join(page.split()) or size[0] == 80
        await pilot.press("escape")
        provider.tell(rented)
        await until(pilot, lambda: not app.fleet.snapshot.sources[0].problem, "its end")
        await until(pilot, lambda: "source cloud" not in drawn(app), "it to be told no more")
