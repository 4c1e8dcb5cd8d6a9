"""How a search that goes on beyond what is loaded is told of, ended, and what becomes of it when its pod is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from podops.errors import PodopsError, UnreachableError
from podops.fleet.fleet import Fleet
from podops.fleet.log_search import LogQuery, SearchStep
from podops.fleet.snapshot import LogChunk
from podops_tui.app import OpsApp
from tests.terminal.recorded_fleet import CONFIG, RecordedFleet, RecordedLog, recorded
from tests.terminal.test_app_pilot import drawn, until, until_drawn


class EndOfALog(RecordedLog):
    """What is loaded begins at byte 1,000,000."""

    async def __aiter__(self) -> AsyncIterator[LogChunk]:
        yield LogChunk(1_000_000, b"loss 0.5\nloss 0.4\n")
        await asyncio.Event().wait()


class SlowFleet(RecordedFleet):
    """Searching takes until `go_on` is set, and then ends with `trouble`, or finds nothing."""

    def __init__(self, trouble: PodopsError | None = None) -> None:
        super().__init__(recorded()[0].snapshot)
        self.trouble = trouble
        self.go_on = asyncio.Event()
        self.queries: list[LogQuery] = []
        self.ended = 0

    @asynccontextmanager
    async def follow(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        yield EndOfALog(b"")

    async def search(self, pod: str, run_id: str, query: LogQuery, *, project: str) -> AsyncGenerator[SearchStep]:
        self.queries.append(query)
        try:
            yield SearchStep((), 0, 370_000, 1_000_000, 1_000_018, done=False)
            await self.go_on.wait()
            if self.trouble is not None:
                raise self.trouble
            yield SearchStep((), 3 if query.only_count else 0, 1_000_000, 1_000_000, 1_000_018, done=True)
        finally:
            self.ended += 1


async def test_a_search_of_the_pod_tells_how_far_it_is_and_what_it_came_to() -> None:
    fleet = SlowFleet()
    app = OpsApp(CONFIG, fleet=cast(Fleet, fleet))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "loss 0.4")
        await pilot.press("l", "slash", *"nan", "enter")
        await until_drawn(pilot, app, "/nan · searching 37 % (n N)")
        (query,) = fleet.queries
        assert (query.pattern, query.start, query.end, query.backward) == ("nan", 0, 1_000_000, True)
        await pilot.press("N")
        fleet.go_on.set()
        await until_drawn(pilot, app, "the log does not hold nan")
        await until_drawn(pilot, app, "/nan · 3 lines (n N)")
        assert len(fleet.queries) == 2 and "loss 0.4" in drawn(app)
        for searches in (3, 4):
            await pilot.press("N")
            await until(pilot, lambda searches=searches: fleet.ended >= searches, "the search")  # type: ignore[misc]
        assert (await until_drawn(pilot, app, "the log does not hold nan")).count("the log does not hold nan") == 1


async def test_escape_ends_a_search_and_leaves_the_log_as_it_was() -> None:
    fleet = SlowFleet()
    app = OpsApp(CONFIG, fleet=cast(Fleet, fleet))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "loss 0.4")
        await pilot.press("l", "slash", *"nan", "enter")
        await until_drawn(pilot, app, "searching 37 %")
        await pilot.press("escape")
        screen = await until_drawn(pilot, app, "Log · following ─")
        assert "/nan" not in screen and "loss 0.4" in screen
        await until(pilot, lambda: bool(fleet.ended), "the end of the search")


async def test_what_is_loaded_is_searched_also_when_the_pod_is_away() -> None:
    fleet = SlowFleet(UnreachableError("pod h100-a cannot be reached: no route"))
    fleet.go_on.set()
    app = OpsApp(CONFIG, fleet=cast(Fleet, fleet))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_drawn(pilot, app, "loss 0.4")
        await pilot.press("l", "slash", *"loss", "enter")
        await until_drawn(pilot, app, "held still (f follows) · /loss")
        assert not [query for query in fleet.queries if not query.only_count]
        await pilot.press("N", "N")
        await until_drawn(pilot, app, "only what is loaded")
