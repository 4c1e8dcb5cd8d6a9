"""The vertical scroll bar of a log, which moves several times a second."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip


class LogBar(ScrollBar):
    """Looks as any, but is not laid out as a text, and only the rows that look different are drawn anew."""

    def __init__(self, *, thickness: int) -> None:
        super().__init__(vertical=True, name="vertical", thickness=thickness)
        self._cells: list[Segment] = []

    def move(self, lines: int, top: float) -> None:
        """Show that what is seen of so many `lines` begins at `top`."""
        self.set_reactive(ScrollBar.window_virtual_size, lines)
        self.set_reactive(ScrollBar.position, self.validate_position(top))
        before, self._cells = self._cells, self._draw()
        if len(before) != len(self._cells):
            self.refresh()
        elif changed := [y for y, cell in enumerate(self._cells) if cell != before[y]]:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_lines(self, crop: Region) -> list[Strip]:
        self._cells = self._draw()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._cells):
            return super().render_line(y)
        return Strip([self._cells[y]]).apply_style(self.rich_style)

    def _draw(self) -> list[Segment]:
        """A cell for each row; none where it cannot be told how it would be drawn."""
        bar = self.render()
        if not isinstance(bar, ScrollBarRender) or not isinstance(bar.style, Style):
            return []
        back, color = bar.style.bgcolor, bar.style.color
        if back is None or color is None:
            return []
        drawn = bar.render_bar(
            self.size.height, bar.virtual_size, bar.window_size, bar.position, bar.thickness, True, back, color
        )
        return list(drawn.segments)
