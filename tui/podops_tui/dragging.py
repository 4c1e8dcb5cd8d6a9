"""Selecting text with the mouse: a drag stays in the pane it began in, and scrolls that only from beyond its edge."""

from __future__ import annotations

from textual.geometry import Offset, clamp
from textual.screen import Screen
from textual.selection import SelectEnd
from textual.widget import Widget

from podops_tui.narrow_compositor import AS_READ

#: From beyond its edge a pane is scrolled so often, seconds, each time by as many lines as the mouse is away.
_SCROLL_S = 0.1


class Dragging(Screen[None]):
    """Textual scrolls from three lines inside the edge on: in a pane of six lines that is everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self._pointed_at = Offset()

    def _check_auto_scroll(self, select_widget: Widget, mouse_coordinate: tuple[float, float], delta_y: float) -> None:
        pane = self._pane_of_drag()
        if not AS_READ or pane is None:
            super()._check_auto_scroll(select_widget, mouse_coordinate, delta_y)
            return
        self._pointed_at = Offset(int(mouse_coordinate[0]), int(mouse_coordinate[1]))
        self._select_to_edge(pane)
        if not self._lines_beyond(pane):
            self._stop_auto_scroll()
        elif self._auto_select_scroll_timer is None:
            self._auto_select_scroll_timer = self.set_interval(_SCROLL_S, self._scroll_on)

    def _pane_of_drag(self) -> Widget | None:
        """What scrolls where the selection began; `None` where nothing does."""
        begun = None if self._select_state is None else self._select_state.start.content_widget
        ancestors = () if begun is None else begun.ancestors_with_self
        return next((one for one in ancestors if isinstance(one, Widget) and one.allow_vertical_scroll), None)

    def _lines_beyond(self, pane: Widget) -> int:
        """How far below the pane's text the mouse is, lines; above it, less than nothing."""
        region, row = pane.scrollable_content_region, self._pointed_at.y
        return min(0, row - region.y) + max(0, row - region.bottom + 1)

    def _scroll_on(self) -> None:
        pane = self._pane_of_drag()
        if pane is None:
            self._stop_auto_scroll()
            return
        pane.scroll_y += self._lines_beyond(pane)
        pane.scroll_target_y = pane.scroll_y
        self._select_to_edge(pane)

    def _select_to_edge(self, pane: Widget) -> None:
        """Have the selection end at the place of the pane that is nearest to the mouse."""
        region, state = pane.scrollable_content_region, self._select_state
        if state is None or not region:
            return
        column, row = self._pointed_at
        nearest = Offset(clamp(column, region.x, region.right - 1), clamp(row, region.y, region.bottom - 1))
        widget, offset = self.get_widget_and_offset_at(*nearest)
        if widget is not None and offset is not None and isinstance(widget.parent, Widget):
            self._select_state = state.update_end(nearest, SelectEnd(widget.parent, widget, offset))
