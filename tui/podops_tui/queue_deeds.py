"""What the app does to runs that wait: hold, release, sooner, later, move. Mixed into the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from podops.fleet.snapshot import RunSnapshot
from podops.queue_move import move_run
from podops_runners.ticket import HIGHEST, LOWEST
from podops_tui.ansi import clean
from podops_tui.live_screen import LiveScreen
from podops_tui.screens.move import MoveScreen

if TYPE_CHECKING:
    from podops_tui.app import OpsApp

Change = Callable[[RunSnapshot], Awaitable[Any]]


class QueueDeeds:
    """Each deed is for the marked runs, else the selected one."""

    def op_hold(self) -> None:
        self._to_waiting(lambda run: self._ask_queue(run, "hold"), "held", state="queued")

    def op_release(self) -> None:
        self._to_waiting(lambda run: self._ask_queue(run, "release"), "released", state="held")

    def op_sooner(self) -> None:
        self._prioritise(1)

    def op_later(self) -> None:
        self._prioritise(-1)

    def op_move(self) -> None:
        app = self._app
        runs = self._waiting()
        if not runs:
            return

        def chosen(target: str | None) -> None:
            if target is not None:
                work = [(run, move_run(app.config, app.fleet, run, target)) for run in runs if run.pod != target]
                app.do_each(work, f"moved to {target}")

        app.push_screen(MoveScreen(runs, app.config, app.snapshot), chosen)

    @property
    def _app(self) -> OpsApp:
        return cast("OpsApp", self)

    def _prioritise(self, by: int) -> None:
        def change(run: RunSnapshot) -> Awaitable[Any]:
            return self._ask_queue(run, "priority", value=min(HIGHEST, max(LOWEST, run.priority + by)))

        self._to_waiting(change, "priority up by one" if by > 0 else "priority down by one")

    def _ask_queue(self, run: RunSnapshot, action: str, *, value: int | None = None) -> Awaitable[Any]:
        return self._app.fleet.queue(run.pod, run.run_id, action, project=run.project, value=value)

    def _to_waiting(self, change: Change, told: str, *, state: str = "") -> None:
        """Do `change` to each chosen run that waits, or only to those in `state`."""
        runs = self._waiting(state)
        self._app.do_each([(run, change(run)) for run in runs], told)

    def _waiting(self, state: str = "") -> list[RunSnapshot]:
        """The chosen runs that wait (in `state`); when there is none, the user is told why."""
        screen = self._app.screen
        chosen: Sequence[RunSnapshot] = screen.chosen_runs if isinstance(screen, LiveScreen) else []
        found = [run for run in chosen if run.waiting and run.owned and (not state or run.state == state)]
        if chosen and not found:
            run = chosen[0]
            why = "belongs to another pod" if run.waiting and not run.owned else f"is {clean(run.state)}"
            text = f"{clean(run.run_id)} {why}, not {state or 'waiting in a queue'}"
            self._app.notify(text if len(chosen) == 1 else f"none of these is {state or 'waiting'}", markup=False)
        return found
