"""Rows of a widget that are written to the terminal the moment they change.

Textual draws what has changed when its queue of messages is empty and a timer is due, and asks every widget that lies
there: milliseconds for a line of a log that takes one from its pod.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import Any

from rich.console import Console
from rich.style import Style
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from podops_tui.narrow_compositor import AS_READ


class Rows(CompositorUpdate):
    """Strips that begin in the same column of the screen, each with its row, both counted from 0."""

    def __init__(self, column: int, strips: Iterable[tuple[int, Strip]]) -> None:
        self._column = column
        self._strips = strips

    def render_segments(self, console: Console) -> str:
        column = self._column + 1
        return "".join(f"\x1b[{row + 1};{column}H{strip.render(console)}" for row, strip in self._strips)


class OpenPlace:
    """Whether all of a widget can be seen, and where: nothing may be written over what lies in front of it."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._seen: object = None
        self._place: Region | None = None

    def find(self) -> Region | None:
        """Its part of the screen, without scroll bars; `None` where something covers some of it."""
        screen = self._widget.screen
        if screen is not self._widget.app.screen or screen._layout_required:
            return None  # a dialog lies over all of it, or things are about to move
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


def draw(widget: Widget, place: Region, strips: Iterable[tuple[int, Strip]]) -> None:
    """Write rows of the widget that is at `place`, by their numbers in it."""
    update: Any = Rows(place.x, [(place.y + row, strip) for row, strip in strips])
    widget.app._display(widget.screen, update)


class ScrollRows(ScrollView):
    """Rows that subclasses draw in `render_line`, and that are written to the terminal when `refresh_rows` says so."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._open = OpenPlace(self)
        #: The style of what has none of its own, for `render_line`.
        self.base = Style.null()

    def refresh_rows(self, rows: Collection[int]) -> None:
        """Draw these rows anew, counted from the first in view; at once where that is possible."""
        place = self._open.find() if rows and can_draw(self.app) else None
        regions = [Region(0, row, self.size.width, 1) for row in rows]
        if place is None:
            if rows:
                self.refresh(*regions)
            return
        self.base = self.rich_style
        seen = [row for row in rows if 0 <= row < place.height]
        draw(self, place, zip(seen, map(self._as_shown, seen), strict=True))
        # Textual keeps what it has drawn.
        self._styles_cache.set_dirty(*(region.translate(self.content_offset) for region in regions))

    def _as_shown(self, row: int) -> Strip:
        strip = self.render_line(row).crop(0, self.scrollable_content_region.width)
        for each in self.get_line_filters():
            strip = strip.apply_filter(each, self.background_colors[1])
        return strip

    def render_lines(self, crop: Region) -> list[Strip]:
        # It takes longer to find than a row to draw.
        self.base = self.rich_style
        return super().render_lines(crop)


def _uncovered(widget: Widget, visible: dict[Widget, tuple[Region, Region]], screen: Region) -> Region | None:
    """`visible` has the foremost first."""
    if widget not in visible:
        return None
    region, clip = visible[widget]
    # Its scroll bars are widgets of their own, to the right and below.
    place = Region(*region.offset + widget.styles.gutter.top_left, *widget.scrollable_content_region.size)
    if not clip.contains_region(place) or not screen.contains_region(place):
        return None
    in_front = itertools.takewhile(lambda other: other is not widget, visible)
    covered = any(visible[other][0].intersection(visible[other][1]).overlaps(place) for other in in_front)
    return None if covered else place
