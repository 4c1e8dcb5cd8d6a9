"""A list with a cursor that draws only the rows in view."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Generic, TypeVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from podops_tui.drawn_at_once import ScrollRows

T = TypeVar("T")

#: Rows that tell an age are as old as this at most, seconds.
_AGES_S = 0.9


class RowList(ScrollRows, Generic[T], can_focus=True):
    """Subclasses give each item a key and one line; the cursor stays on its key when the items change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
    ]

    class Selected(Message):
        """The cursor came to another item."""

        def __init__(self, rows: RowList[Any]) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> RowList[Any]:
            return self.rows

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.items: list[T] = []
        self.cursor = 0
        #: What stands in a list without items.
        self.empty = ""
        #: The key of an item to select as soon as it is there.
        self.awaited: object | None = None
        #: Whether the cursor was put where it is.
        self.moved = False
        # The first row in view before the list got so low that the cursor moved it, and the one since then.
        self._top_before: tuple[int, int] | None = None
        self._aged_at = 0.0
        self._look: object = None
        # What stands in the rows in view, by the numbers of their items.
        self._told: dict[int, Text] = {}

    def key_of(self, item: T) -> object:
        raise NotImplementedError

    def line_of(self, item: T | None, width: int) -> Text:
        """The row of one item, or the header for `None`."""
        raise NotImplementedError

    @property
    def selected(self) -> T | None:
        return self.items[self.cursor] if self.cursor < len(self.items) else None

    @property
    def in_view(self) -> list[T]:
        """The items whose rows are on the screen."""
        top = int(self.scroll_offset.y)
        return self.items[top : top + max(0, self.size.height - 1)]

    def stays_first(self) -> bool:
        """Whether the cursor, which nobody has moved, goes to what is first now."""
        return False

    def look(self) -> object:
        """What the rows show beside their items: when it is another, every row is drawn again."""
        return None

    def show(self, items: list[T]) -> None:
        """Replace the items, keeping the cursor on the same one where it is still there."""
        old, index = self.items, self.cursor
        before = None if self.selected is None else self.key_of(self.selected)
        self.items = items
        self.cursor = self._place_of(before)
        self.virtual_size = Size(0, len(items) + 1)
        after = None if self.selected is None else self.key_of(self.selected)
        self._keep_in_view()
        self._refresh_changed(old, index)
        if after != before:
            self.post_message(self.Selected(self))

    def _place_of(self, before: object) -> int:
        """Where the cursor goes: to the awaited item, else to that with the key `before`, else it stays."""
        if self.awaited is not None:
            for index, item in enumerate(self.items):
                if self.key_of(item) == self.awaited:
                    self.awaited, self.moved = None, True
                    return index
        if before is None or self.stays_first():
            return 0
        if self.selected is not None and self.key_of(self.selected) == before:
            return self.cursor
        found = (index for index, item in enumerate(self.items) if self.key_of(item) == before)
        return next(found, max(0, min(self.cursor, len(self.items) - 1)))

    def _refresh_changed(self, old: list[T], cursor: int) -> None:
        """Draw anew the rows in view that tell something else; all are looked at once a second, as they tell ages."""
        look = self.look()
        if len(old) != len(self.items) or cursor != self.cursor or look != self._look:
            self._look = look
            self._told.clear()
            self.refresh()
            return
        now, top = time.monotonic(), int(self.scroll_offset.y)
        aged = now - self._aged_at >= _AGES_S
        if aged:
            self._aged_at = now
        before, self._told = self._told, {}
        width, changed = self.scrollable_content_region.width, list[int]()
        for index in range(top, min(len(self.items), top + self.size.height)):
            told = before.get(index)
            if told is None or aged or self.items[index] is not old[index]:
                self._told[index] = self.line_of(self.items[index], width)
                if self._told[index] != told:
                    changed.append(index + 1 - top)
            else:
                self._told[index] = told
        self.refresh_rows(changed)

    def action_move(self, by: int) -> None:
        self._go(self.cursor + by)

    def action_page(self, pages: int) -> None:
        self._go(self.cursor + pages * max(1, self.size.height - 2))

    def on_click(self, event: Click) -> None:
        if event.y > 0:
            self._go(int(event.y - 1 + self.scroll_y))

    def _go(self, index: int) -> None:
        index = max(0, min(index, len(self.items) - 1))
        if index == self.cursor:
            return
        self.cursor, self.awaited, self.moved = index, None, True
        self._top_before = None
        self._keep_in_view()
        self.refresh()
        self.post_message(self.Selected(self))

    def on_resize(self) -> None:
        self._told.clear()
        rows, top = self.size.height - 1, int(self.scroll_offset.y)
        if rows < 0:
            return
        before, since = self._top_before or (top, top)
        # Somebody may have scrolled since; that there is no more to scroll is nobody's doing.
        wanted = before if top in (since, self.max_scroll_y) else top
        needed = min(max(min(wanted, self.cursor), self.cursor - rows + 1), max(0, len(self.items) - rows))
        self._top_before = None if needed == wanted else (wanted, needed)
        if needed != top:
            self.scroll_to(y=needed, animate=False, force=True)

    def _keep_in_view(self) -> None:
        above = self.cursor - int(self.scroll_offset.y)
        if not self.size.height or 0 <= above < self.size.height - 1:
            return
        # The header always covers the first line, so one more row has to be in view.
        self.scroll_to_region(Region(0, self.cursor, 1, 2), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y - 1 + int(self.scroll_offset.y)
        base = self.base
        if y == 0:
            return self._strip(self.line_of(None, width), width, base + Style(bold=True, dim=True))
        if index >= len(self.items):
            said = self.empty if index == 0 else ""
            return self._strip(Text(said, "dim"), width, base)
        on_cursor = index == self.cursor
        style = base + Style(reverse=self.has_focus, bold=True, underline=not self.has_focus) if on_cursor else base
        told = self._told[index] = self._told.get(index) or self.line_of(self.items[index], width)
        return self._strip(told, width, style)

    def _strip(self, text: Text, width: int, style: Style) -> Strip:
        # Colours turned round would make a patchwork of the row under the cursor.
        line = Text(text.plain) if style.reverse else text.copy()
        line.truncate(width, overflow="ellipsis")
        line.end = ""
        return Strip(line.render(self.app.console)).apply_style(style).adjust_cell_length(width, style)


def cell(text: str, width: int, style: str = "", *, right: bool = False) -> Text:
    """`text` in exactly `width` cells and a blank after it."""
    if text.isascii() and text.isprintable():
        # As below, in a fifth of the time; most are.
        whole = text if len(text) <= width else text[: width - 1] + "…"
        return Text((whole.rjust(width) if right else whole.ljust(width)) + " ", style)
    shown = Text(text, style)
    shown.truncate(width, overflow="ellipsis")
    shown.align("right" if right else "left", width)
    shown.append(" ")
    return shown
