"""Take the README's picture from the real app on the demo's fleet: `python docs/images/take.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from podops.demo.demo import Demo, prepare_demo
from podops_tui.app import OpsApp

TARGET = Path(__file__).with_name("app.svg")


async def take(demo: Demo) -> str:
    """The screen as SVG, once both trainings have shown a few hundred steps."""
    app = OpsApp(demo.config, on_start=demo.first_runs)
    async with app.run_test(size=(132, 36)) as pilot:
        while not _alive(app):
            await pilot.pause(0.2)
        await pilot.pause(3.0)
        return app.export_screenshot(title="ops demo")


def _alive(app: OpsApp) -> bool:
    steps = [run.step or 0 for run in app.snapshot.runs() if run.preset == "train"]
    return len(steps) == 2 and min(steps) > 300


if __name__ == "__main__":
    prepared = prepare_demo(simulate_gpus=2)
    prepared.take_machine()
    try:
        picture = asyncio.run(asyncio.wait_for(take(prepared), 120))
    finally:
        prepared.close()
    TARGET.write_text(picture.replace(str(prepared.directory), "/mnt/demo"), encoding="utf-8")
