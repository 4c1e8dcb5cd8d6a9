"""What the full screens have in common: a snapshot to draw, something selected, numbered panes, a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot
from podops_tui.dragging import Dragging
from podops_tui.narrow_compositor import compositor

if TYPE_CHECKING:
    from podops_tui.app import OpsApp


class LiveScreen(Dragging):
    """Subclasses draw in `show_snapshot` and say what is selected."""

    #: Names of the panes, by number from 1.
    PANES: ClassVar[tuple[str, ...]] = ()
    #: Whether there is anything that `enter` opens.
    OPENS: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._compositor = compositor()

    @property
    def ops(self) -> OpsApp:
        return cast("OpsApp", self.app)

    def show_snapshot(self, snapshot: FleetSnapshot) -> None:
        """Draw everything anew."""
        raise NotImplementedError

    def parts(self, snapshot: FleetSnapshot) -> Iterator[None]:
        """The same, a few times a second, in parts between which other things may be done."""
        self.show_snapshot(snapshot)
        yield

    @property
    def selected_run(self) -> RunSnapshot | None:
        return None

    @property
    def selected_pod(self) -> PodSnapshot | None:
        return None

    @property
    def pods_in_view(self) -> frozenset[str]:
        """The pods that something on the screen is about."""
        return frozenset() if self.selected_pod is None else frozenset({self.selected_pod.name})

    @property
    def chosen_runs(self) -> list[RunSnapshot]:
        """What an action on several runs is about."""
        return [] if self.selected_run is None else [self.selected_run]

    @property
    def to_open(self) -> RunSnapshot | PodSnapshot | None:
        """What `enter` opens."""
        return self.selected_run

    @property
    def name_to_copy(self) -> str:
        return "" if self.selected_run is None else self.selected_run.run_id

    def show_pane(self, number: int) -> None:
        """Go to a pane by its number; a number without a pane does nothing."""
        if number <= len(self.PANES):
            self.go_to(self.PANES[number - 1])

    def go_to(self, pane: str) -> None:
        """Bring a pane to the front and focus it."""
        raise NotImplementedError
