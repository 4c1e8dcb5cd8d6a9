"""The log of one run, followed live; only the rows in view are drawn."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from podops.errors import PodopsError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean, parse_line
from podops_tui.log_buffer import LogBuffer

#: A selection that is moving on is not followed, seconds.
_SETTLE_S = 0.12

_TAIL_LINES = 500


class LogView(ScrollView, can_focus=True):
    BORDER_TITLE = "Log"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.buffer = LogBuffer()
        self.follow = True
        self.wrap = False
        self.run: tuple[str, str, str] | None = None
        self._lines: list[str] = []
        self._ends: list[int] = []
        self._dirty = False

    def on_mount(self) -> None:
        self.set_interval(0.1, self._flush)
        self._title()

    def on_resize(self) -> None:
        self._dirty = True
        self._flush()

    def show_run(self, fleet: Fleet, run: RunSnapshot | None) -> None:
        """Follow `run` from now on; the same run again changes nothing."""
        key = None if run is None else (run.pod, run.project, run.run_id)
        if key == self.run:
            return
        self.run = key
        self.buffer = LogBuffer()
        self._dirty = True
        self.workers.cancel_node(self)
        if key is not None:
            self.run_worker(self._read(fleet, key, self.buffer), group="log", exclusive=True, exit_on_error=False)

    def toggle_follow(self) -> None:
        self.follow = not self.follow
        self._dirty = True
        self._title()

    def toggle_wrap(self) -> None:
        self.wrap = not self.wrap
        self._dirty = True
        self._title()

    async def _read(self, fleet: Fleet, key: tuple[str, str, str], buffer: LogBuffer) -> None:
        pod, project, run_id = key
        await asyncio.sleep(_SETTLE_S)
        try:
            async with fleet.follow(pod, run_id, project=project, tail_lines=_TAIL_LINES) as stream:
                async for chunk in stream:
                    if chunk.skipped:
                        buffer.skipped(chunk.skipped)
                    buffer.feed(chunk.data)
                    self._dirty = True
                    stream.ack(chunk.offset + len(chunk.data))
        except PodopsError as error:
            buffer.feed(f"\n[log not available: {clean(error.message)}]\n".encode())
            self._dirty = True

    def _flush(self) -> None:
        if not self._dirty:
            return
        self._dirty = False
        self._lines = self.buffer.lines()
        width = max(1, self.size.width)
        if self.wrap:
            rows = (max(1, -(-parse_line(line).cell_len // width)) for line in self._lines)
            self._ends = list(accumulate(rows))
            self.virtual_size = Size(0, self._ends[-1] if self._ends else 0)
        else:
            widest = max((parse_line(line).cell_len for line in self._lines), default=0)
            self.virtual_size = Size(widest, len(self._lines))
        if self.follow:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width, row = self.size.width, y + top
        base = self.rich_style
        strip = Strip.blank(width, base)
        if self.wrap and self._ends and row < self._ends[-1]:
            index = bisect_right(self._ends, row)
            left = (row - (self._ends[index - 1] if index else 0)) * width
            strip = self._strip(self._lines[index])
        elif not self.wrap and row < len(self._lines):
            strip = self._strip(self._lines[row])
        else:
            return strip
        return strip.crop(left, left + width).apply_style(base).adjust_cell_length(width, base)

    def _strip(self, line: str) -> Strip:
        return Strip(parse_line(line).render(self.app.console))

    def _title(self) -> None:
        self.border_title = "Log" + (" · following" if self.follow else " · paused") + (" · wrap" if self.wrap else "")
