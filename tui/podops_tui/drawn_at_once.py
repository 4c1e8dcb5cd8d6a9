"""Rows of a widget that are written to the terminal the moment they change.

Textual draws what has changed when its queue of messages is empty and a timer is due, and asks every widget that lies
there: milliseconds for a line of a log that takes one from its pod.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from podops_tui.narrow_compositor import AS_READ


class Rows(CompositorUpdate):
    """Strips of the same width under each other, at a place of the screen."""

    def __init__(self, place: Region, strips: Sequence[Strip]) -> None:
        self._place = place
        self._strips = strips

    def render_segments(self, console: Console) -> str:
        column = self._place.x + 1
        rows = enumerate(self._strips, self._place.y + 1)
        return "".join(f"\x1b[{row};{column}H{strip.render(console)}" for row, strip in rows)


class OpenPlace:
    """Whether all of a widget can be seen, and where: nothing may be written over what lies in front of it."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._seen: object = None
        self._place: Region | None = None

    def find(self) -> Region | None:
        """Its part of the screen, without scroll bars; `None` where something covers some of it."""
        screen = self._widget.screen
        if screen is not self._widget.app.screen:
            return None  # a dialog lies over all of it
        compositor = screen._compositor
        # Made anew, never changed, whenever something on the screen comes, goes or moves.
        visible = compositor.visible_widgets
        if visible is not self._seen:
            self._seen = visible
            self._place = _uncovered(self._widget, visible, compositor.size.region)
        return self._place


def can_draw(app: App[object]) -> bool:
    """Whether the terminal is ours to write to, and Textual is one that this was made for."""
    return AS_READ and not app._batch_count and not app.is_headless and not app.is_inline


def draw(widget: Widget, place: Region, strips: Sequence[Strip]) -> None:
    """Write the rows of the widget that is at `place`."""
    update: Any = Rows(place, strips)
    widget.app._display(widget.screen, update)


def _uncovered(widget: Widget, visible: dict[Widget, tuple[Region, Region]], screen: Region) -> Region | None:
    """`visible` has the foremost first."""
    if widget not in visible:
        return None
    region, clip = visible[widget]
    # Its scroll bars are widgets of their own, to the right and below.
    place = Region(region.x, region.y, *widget.scrollable_content_region.size)
    if not clip.contains_region(place) or not screen.contains_region(place):
        return None
    in_front = itertools.takewhile(lambda other: other is not widget, visible)
    covered = any(visible[other][0].intersection(visible[other][1]).overlaps(place) for other in in_front)
    return None if covered else place
