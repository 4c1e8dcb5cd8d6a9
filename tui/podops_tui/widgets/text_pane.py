"""A framed text that scrolls; long lines are wrapped."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.console import Console
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip

from podops_tui.drawn_at_once import ScrollRows


class _Row(NamedTuple):
    """So much of a line of the text as stands in one row; `begin` is where in the line numbered `line`."""

    line: int
    begin: int
    text: Text


class TextPane(ScrollRows, can_focus=True):
    DEFAULT_CSS = """
    TextPane { border: round $surface-lighten-2; }
    TextPane:focus { border: round $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def __init__(self, *, id: str, title: str = "") -> None:
        super().__init__(id=id)
        self.border_title = title
        # As it was given, and with blanks for tabs.
        self._told = self._text = Text()
        self._rows: list[_Row] = []
        self._wrapped_at = 0

    def show(self, text: Text) -> None:
        """Show `text`; rows that stay as they are cost nothing."""
        if text != self._told or text.spans != self._told.spans:
            self._told = text
            self._text = text.copy()
            self._text.expand_tabs(8)
            self._wrap()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract(self._text.plain), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def on_resize(self) -> None:
        if self._wrapped_at != self.scrollable_content_region.width:
            self._wrap()

    def _wrap(self) -> None:
        before = self._rows
        self._wrapped_at = width = self.scrollable_content_region.width
        self._rows = _rows(self._text, width, self.app.console) if width > 0 else []
        if len(before) != len(self._rows):
            self.virtual_size = Size(0, len(self._rows))
            self.refresh()
            return
        top = int(self.scroll_offset.y)
        changed = (
            number - top
            for number, (row, was) in enumerate(zip(self._rows, before, strict=True))
            if row.text != was.text or row.text.spans != was.text.spans
        )
        self.refresh_rows([row for row in changed if 0 <= row < self.size.height])

    def render_line(self, y: int) -> Strip:
        width, number = self.scrollable_content_region.width, y + self.scroll_offset.y
        if number >= len(self._rows):
            return Strip.blank(self.size.width, self.base)
        row = self._rows[number]
        strip = Strip(self._marked(row).render(self.app.console)).crop(0, width).apply_style(self.base)
        # By its offset a place that is pointed at is known for that of the text.
        return strip.apply_offsets(row.begin, row.line).adjust_cell_length(self.size.width, self.base)

    def _marked(self, row: _Row) -> Text:
        """The row with what is selected of it."""
        span = None if self.text_selection is None else self.text_selection.get_span(row.line)
        if span is None:
            return row.text
        begin, end = (place if place < 0 else max(0, place - row.begin) for place in span)
        text = row.text.copy()
        text.stylize(self.screen.get_component_rich_style("screen--selection"), begin, None if end < 0 else end)
        return text


def _rows(text: Text, width: int, console: Console) -> list[_Row]:
    """The text in rows of so many cells."""
    rows: list[_Row] = []
    for number, line in enumerate(text.split("\n", allow_blank=not text.plain.endswith("\n"))):
        begin = 0
        for piece in line.wrap(console, width) if line.cell_len > width else [line]:
            piece.end = ""
            # Blanks where a line is wrapped may stand in no row.
            begin = line.plain.find(piece.plain, begin)
            rows.append(_Row(number, begin, piece))
            begin += len(piece)
    return rows
