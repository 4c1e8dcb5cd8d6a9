"""The log of one run, followed live; only the rows in view are parsed and drawn."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scrollbar import ScrollBar, ScrollTo
from textual.selection import Selection
from textual.strip import Strip

from podops.errors import PodopsError
from podops.fleet.find_run import is_another
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean, parse_line
from podops_tui.drawn_at_once import OpenPlace, can_draw, draw
from podops_tui.drawn_lines import DrawnLines, Look, Sight
from podops_tui.frames import FRAME_S
from podops_tui.log_reader import LogKey, LogReader
from podops_tui.log_search import marked
from podops_tui.run_words import nothing_printed
from podops_tui.widgets.log_bar import LogBar
from podops_tui.widgets.scroll_thumb import dragged_to, thumb
from podops_tui.widgets.searched_log import SearchedLog

#: What was read is drawn at once, but so often at most, seconds, and so many times what drawing took last apart.
_DRAW_S, _APART = FRAME_S, 8

#: So many drawings that were not needed before may be made up for.
_AT_ONCE = 3

#: How often it is looked whether there is something to draw that could not be drawn before, seconds.
_LOOK_S = 0.1

#: A scroll bar follows lines that are drawn as they come so late at most, seconds.
_BAR_S = 1.0


class LogView(SearchedLog, can_focus=True):
    # The width that lines are wrapped at is the same with a scroll bar and without.
    DEFAULT_CSS = "LogView { scrollbar-gutter: stable; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    class Changed(Message):
        """What the title tells has changed."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.follow = True
        self.wrap = False
        self.run: LogKey | None = None
        self._shown: RunSnapshot | None = None
        self._rows = DrawnLines()
        # Whether it was scrolled sideways for a match.
        self._shifted = False
        self._dirty = False
        self._jumping = False
        self._nothing = ""
        self._told = ("", "")
        self._flush_at = 0.0
        # What drawing took since the last flush, seconds of processor time.
        self._drawing_s = 0.0
        self._flushing: asyncio.TimerHandle | None = None
        self._open = OpenPlace(self)
        self._bar: asyncio.TimerHandle | None = None
        # The rows of the scroll bar's thumb when it was moved last; `None` once somebody else may have moved it.
        self._thumb: tuple[int, int] | None = None

    def on_mount(self) -> None:
        self.set_interval(_LOOK_S, self._flush)

    def on_unmount(self) -> None:
        for timer in (self._flushing, self._bar):
            if timer is not None:
                timer.cancel()

    def on_resize(self) -> None:
        self._dirty = True
        self._flush()

    @property
    def vertical_scrollbar(self) -> LogBar:
        if not isinstance(self._vertical_scrollbar, LogBar):
            self._vertical_scrollbar = bar = LogBar(thickness=self.scrollbar_size_vertical)
            bar.display = False
            self.app._start_widget(self, bar)
        return self._vertical_scrollbar

    def show_run(self, fleet: Fleet, run: RunSnapshot | None) -> None:
        """Follow `run` from now on; the same run again changes nothing but what an empty log says.

        One that was submitted anew has another log.
        """
        nothing = "" if run is None else nothing_printed(run)
        if nothing != self._nothing:
            self._nothing = nothing
            self.refresh()
        key = None if run is None else (run.pod, run.project, run.run_id)
        before, self._shown = self._shown, run
        anew = run is not None and before is not None and is_another(run, before)
        if key == self.run and not anew:
            return
        self.run = key
        self.reader = None
        self._rows.forget()
        self._forget_search()
        self._dirty = True
        self.workers.cancel_node(self)
        self._set_follow(True)
        if key is not None:
            self.reader = LogReader(fleet, key, self._grown)
            self.run_worker(self.reader.run(), group="log", exclusive=True, exit_on_error=False)

    def toggle_follow(self) -> None:
        self._set_follow(not self.follow)

    def toggle_wrap(self) -> None:
        self.wrap = not self.wrap
        self.tell()
        self._flush()

    @property
    def title(self) -> str:
        words = ["Log", "following" if self.follow else "held still (f follows)"]
        words += ["wrap"] if self.wrap else []
        words += self.search_words
        return " · ".join(words) + (" (n N)" if self.search else "")

    @property
    def trouble(self) -> str:
        return "" if self.reader is None else self.reader.trouble

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(parse_line(line).plain for line in self._lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        if selection is not None:
            self._set_follow(False)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._thumb = None
        # A view that has become higher has no room for where it was: nobody scrolled.
        fitted = old_value > self.max_scroll_y
        # The last step of an animation may be less than a row.
        at_end = new_value >= self.max_scroll_y
        if not self._jumping and not fitted and (at_end or round(new_value) != round(old_value)):
            self._scrolled(at_end)

    def on_scroll_to(self, message: ScrollTo) -> None:
        """As the scroll bar is dragged, at once: a log that grows would outrun an animation."""
        if message.y is None:
            return
        message.prevent_default()
        message.stop()
        bar = self.vertical_scrollbar.region
        row = dragged_to(self.app.mouse_position.y - bar.y, bar.height, message.y, self.max_scroll_y)
        at_end = row >= self.max_scroll_y
        if round(row) != self.scroll_offset.y or (at_end and not self.follow):
            self._scrolled(at_end)
            self._jump(row)

    def action_scroll_up(self) -> None:
        self._move(-1)

    def action_scroll_down(self) -> None:
        self._move(1)

    def action_page_up(self) -> None:
        self._move(1 - self.size.height)

    def action_page_down(self) -> None:
        self._move(self.size.height - 1)

    def action_scroll_home(self) -> None:
        self._move(-self.virtual_size.height)

    def action_scroll_end(self) -> None:
        self._set_follow(True)
        self.draw_now()

    def _move(self, rows: int) -> None:
        """Scroll as the user asked, at once: a log that grows would outrun an animation."""
        row = min(self.max_scroll_y, max(0, self.scroll_offset.y + rows))
        self._scrolled(row >= self.max_scroll_y and rows > 0)
        if rows < 0 and self.scroll_offset.y == 0:
            self.run_worker(self._read_earlier(), group="earlier", exit_on_error=False)
        self._jump(row)

    def _scrolled(self, to_the_end: bool) -> None:
        """At its end the log is followed, or read on when that is not the end of all."""
        far = self.reader is not None and self.reader.is_far
        self._set_follow(to_the_end and not far)
        if to_the_end and far:
            self.run_worker(self._read_later(), group="later", exit_on_error=False)

    async def _read_later(self) -> None:
        """At the bottom of what is far from the log's end and still going down: read what comes next."""
        reader, row = self.reader, self.scroll_offset.y
        if reader is None:
            return
        try:
            grown = await reader.later()
        except PodopsError as error:
            self.app.notify(clean(error.message), severity="warning", markup=False)
            return
        if reader is self.reader:
            self._match = None if self._match is None else self._match + grown
            self.draw_now()
            if row == self.scroll_offset.y:
                self._jump(row + 1)

    async def _read_earlier(self) -> None:
        """At the top and still going up: read what comes before, and go up one row of it."""
        reader = self.reader
        if reader is None:
            return
        try:
            added = await reader.earlier()
        except PodopsError as error:
            self.app.notify(clean(error.message), severity="warning", markup=False)
            return
        if added and reader is self.reader:
            self._flush()
            self._jump(self.scroll_offset.y + self._rows.row_of(added) - 1)

    @property
    def _first(self) -> int:
        return 0 if self.reader is None else self.reader.buffer.first

    def hold_still(self) -> None:
        self._set_follow(False)

    def show_line(self, index: int) -> None:
        self._jump(self._rows.row_of(index) - self.size.height // 2)
        self._show_column(index)

    def _show_column(self, index: int) -> None:
        """Where lines are cut, bring what is searched for in one into view."""
        text = parse_line(self._lines[index])
        at = text.plain.lower().find(self.search.lower()) if self.search and not self.wrap else -1
        if at < 0:
            return
        width, left = self.scrollable_content_region.width, self.scroll_offset.x
        begin, end = cell_len(text.plain[:at]), cell_len(text.plain[: at + len(self.search)])
        if left <= begin and end <= left + width:
            return
        # Only lines that were drawn are measured, and nothing scrolls beyond the longest.
        self._rows.widest = max(self._rows.widest, text.cell_len)
        self.draw_now()
        self._shift(0 if end <= width else begin - width // 2)

    def _shift(self, column: int) -> None:
        self._shifted = column > 0
        self.scroll_to(x=max(0, column), animate=False, force=True, immediate=True)
        self.refresh()

    def _go_back_to(self, line: int) -> None:
        """After another wrapping: the match, or the line that was uppermost."""
        match = None if self._match is None else self._match - self._first
        if match is not None and 0 <= match < len(self._lines):
            self.show_line(match)
        else:
            self._jump(self._rows.row_of(line))

    def _set_follow(self, follow: bool) -> None:
        if follow != self.follow:
            self.follow = follow
            self.tell()
            if follow and self._shifted:
                self._shift(0)
        if self.reader is not None:
            if follow and self.reader.is_far:
                self._match, self._dirty = None, True
            self.reader.hold(not follow)

    def tell(self) -> None:
        self._dirty = True
        self.post_message(self.Changed())

    def _grown(self) -> None:
        self._dirty = True
        if self._flushing is None:
            wait = max(0.0, self._flush_at - time.monotonic())
            self._flushing = asyncio.get_running_loop().call_later(wait, self._flush_grown)

    def _flush_grown(self) -> None:
        self._flushing = None
        if self.is_running:
            self._flush()

    def _jump(self, row: float) -> None:
        """Scroll without this being taken for the user's own scrolling."""
        self._jumping = True
        self.scroll_to(y=max(0, row), animate=False, force=True, immediate=True)
        self._jumping = False
        self.refresh()

    def draw_now(self) -> None:
        self._dirty = True
        self._flush()

    def _flush(self) -> None:
        # A log nobody can see takes nothing from its pod.
        if not self._dirty or not self.display or not self.screen.is_current:
            return
        self._dirty = False
        self._lines = [] if self.reader is None else self.reader.buffer.lines()
        wrap_at = max(1, self.scrollable_content_region.width) if self.wrap else None
        held = None if wrap_at == self._rows.wrap_at else self._rows.line_at(self.scroll_offset.y)
        extent = self._rows.take(self._lines, wrap_at)
        if not self._draw_end(extent):
            self._lay_out(extent)
            if held is not None and not self.follow:
                self._go_back_to(held)
        # Those that came late make up for it: a few may follow each other at once.
        interval = max(_DRAW_S, _APART * self._drawing_s)
        self._flush_at = max(self._flush_at, time.monotonic() - _AT_ONCE * interval) + interval
        self._drawing_s = 0.0
        if self.reader is not None:
            self.reader.shown()
        if (told := (self.title, self.trouble)) != self._told:
            self._told = told
            self.post_message(self.Changed())

    def _draw_end(self, extent: Size) -> bool:
        """Write the last lines to the terminal now; whether that was possible."""
        if not self.follow or not self._keeps_bars(extent) or not can_draw(self.app):
            return False
        place = self._open.find()
        if place is None:
            return False
        self.set_reactive(LogView.virtual_size, extent)
        self.set_reactive(LogView.scroll_y, float(self.max_scroll_y))
        self.set_reactive(LogView.scroll_target_y, float(self.max_scroll_y))
        draw(self, place, enumerate(self._strips(range(place.height), self._sight())))
        if self.show_vertical_scrollbar and self._bar is None:
            self._bar = asyncio.get_running_loop().call_later(_BAR_S, self._move_bar)
        return True

    def _lay_out(self, extent: Size) -> None:
        """Have Textual draw the lines."""
        self._jumping = True
        if self._keeps_bars(extent):
            self.set_reactive(LogView.virtual_size, extent)
            self._move_bar()
        else:
            self.virtual_size = extent
            # A bar that was not there has not heard where the view is.
            self.call_after_refresh(self._move_bar)
        self._jumping = False
        if self.follow:
            self._jump(self.max_scroll_y)
        self.refresh()

    def _keeps_bars(self, extent: Size) -> bool:
        """Whether there are as many scroll bars with `extent`: only another number needs a new layout of the screen."""
        needed = (extent.width > self.size.width, extent.height > self.size.height)
        return needed == (self.show_horizontal_scrollbar, self.show_vertical_scrollbar)

    def _move_bar(self) -> None:
        if self._bar is not None:
            self._bar.cancel()
            self._bar = None
        if not self.is_running or not self.show_vertical_scrollbar:
            return
        bar, lines = self.vertical_scrollbar, self.virtual_size.height
        at = thumb(bar.size.height, bar.window_size, lines, self.scroll_y)
        if self.follow and at == self._thumb:
            # It would look the same but for parts of a row.
            bar.set_reactive(ScrollBar.window_virtual_size, lines)
            bar.set_reactive(ScrollBar.position, self.scroll_y)
        else:
            self._thumb = at
            bar.move(lines, self.scroll_y)

    def render_lines(self, crop: Region) -> list[Strip]:
        # Here, where Textual draws after each change of them: they take longer to find than a line to draw.
        self._rows.look = Look(self.rich_style, self.background_colors[1], tuple(self.get_line_filters()))
        sight = self._sight()
        strips = self._strips(crop.line_range, sight)
        if not self._rows.wrapped:
            # By its offset a place that is pointed at is known for that of the log.
            for place, y in enumerate(crop.line_range):
                if (line := y + sight.top) < len(self._lines):
                    strips[place] = strips[place].apply_offsets(sight.left, line)
        gutter = self._rows.strip(Text(""), 0, max(0, self.size.width - sight.width), self.app.console)
        return [Strip.join((strip, gutter)).crop(*crop.column_span) for strip in strips]

    def render_line(self, y: int) -> Strip:
        return self.render_lines(Region(0, y, self.size.width, 1))[0]

    def _sight(self) -> Sight:
        left, top = self.scroll_offset
        return Sight(left, top, self.scrollable_content_region.width)

    def _strips(self, rows: range, sight: Sight) -> list[Strip]:
        """Rows of the view; not through Textual's cache of them, as with a line all of them change."""
        begun, widest = time.thread_time(), self._rows.widest
        marked = self._styled if self.search or self.text_selection is not None else None
        in_log = range(rows.start + sight.top, rows.stop + sight.top)
        strips = self._rows.draw(in_log, sight, self.app.console, marked)
        if not self._lines and rows.start == 0 and strips:
            said = Text("" if self.run is None else (self.trouble or self._nothing).replace("\n", " "), "dim")
            said.truncate(sight.width)
            strips[0] = self._rows.strip(said, 0, sight.width, self.app.console)
        self._dirty = self._dirty or self._rows.widest != widest
        self._drawing_s += time.thread_time() - begun
        return strips

    def _styled(self, index: int) -> Text:
        text = parse_line(self._lines[index])
        if self.search:
            text = marked(text, self.search, index + self._first == self._match)
        if not self.wrap and self.text_selection is not None:
            span = self.text_selection.get_span(index)
            if span is not None:
                start, end = span
                text = text.copy()
                style = self.screen.get_component_rich_style("screen--selection")
                text.stylize(style, start, len(text) if end == -1 else end)
        return text
