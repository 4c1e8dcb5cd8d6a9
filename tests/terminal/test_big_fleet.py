"""The app with more pods than fit on a screen. Pods are simulated; all on this side of their links is real."""

from __future__ import annotations

from collections import Counter

from benchmarks.simulated_fleet import simulated_fleet
from benchmarks.simulated_pods import Traffic
from textual.events import AppBlur

from podops_tui.app import OpsApp
from tests.terminal.test_app_pilot import until, until_drawn


async def test_pods_out_of_view_and_those_of_an_app_nobody_looks_at_are_asked_for_less() -> None:
    traffic = Traffic()
    fleet = simulated_fleet(60, traffic)
    app = OpsApp(fleet.config, fleet=fleet)

    def asked() -> Counter[float]:
        return Counter(samples for samples, _ in traffic.paces.values())

    async with app.run_test(size=(200, 40)) as pilot:
        await until(
            pilot, lambda: sum(asked().values()) == 60 and asked()[5.0] > 20, "another pace for what is not seen"
        )
        assert asked()[1.0] >= 5 and set(asked()) == {1.0, 5.0}
        assert traffic.paces["sim-0000"][0] == 1.0
        await pilot.press("1", "end")
        await until(pilot, lambda: traffic.paces["sim-0059"][0] == 1.0, "what was scrolled into view")
        await until_drawn(pilot, app, "sim-0059")
        app.post_message(AppBlur())
        await until(pilot, lambda: set(asked()) == {2.0, 10.0}, "another pace for an app beside others")
        await pilot.press("home")
        await until(pilot, lambda: traffic.paces["sim-0000"][0] == 1.0, "the pace of an app that is looked at")
