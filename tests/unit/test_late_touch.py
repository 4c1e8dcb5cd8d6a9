"""How long a command waits for pods whose security key somebody has to touch."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from podops.cli.passphrase import settled
from podops.fleet.fleet import Fleet


class Touched:
    """Stands for a fleet: somebody is wanted in the first wait only, and its pod is live within wait `live_in`."""

    def __init__(self, wanted: bool, live_in: int) -> None:
        self.waits = 0
        self._wanted = wanted
        self._live_in = live_in

    async def settled(self, seconds: float) -> None:
        self.waits += 1
        await asyncio.sleep(seconds)

    def waits_for_a_person(self) -> bool:
        wanted, self._wanted = self._wanted, False
        return wanted

    def unsettled(self) -> list[str]:
        return [] if self.waits >= self._live_in else ["touched"]


@pytest.mark.parametrize(("wanted", "live_in", "waits"), [(True, 2, 2), (True, 1, 1), (False, 9, 1), (True, 9, 2)])
async def test_a_key_that_is_touched_in_the_last_moment_gives_its_pod_the_whole_time_once_more(
    wanted: bool, live_in: int, waits: int
) -> None:
    fleet = Touched(wanted, live_in)
    await settled(cast(Fleet, fleet), 0.01)
    assert fleet.waits == waits
