"""What a log view does to search: in the lines that are loaded at once, beyond them by asking the pod."""

from __future__ import annotations

import time

from textual.scroll_view import ScrollView

from podops.errors import PodopsError
from podops_tui.ansi import clean
from podops_tui.log_reader import LogReader
from podops_tui.log_search import count, find, find_beyond


class SearchedLog(ScrollView):
    """A view of the lines of `reader`. Subclasses show them."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.reader: LogReader | None = None
        self.search = ""
        self._lines: list[str] = []
        # The number of the line of the current match.
        self._match: int | None = None
        # How far a search on the pod has come, in which direction it goes, and what counting came to.
        self._progress = self._counted = ""
        self._hunting = 0
        # Whether counting has begun, whatever it came to.
        self._is_counted = False
        # What was told last, and how long it stands on the screen, `time.monotonic`.
        self._noted, self._noted_until = "", 0.0

    def hold_still(self) -> None:
        """Stop following the log's end."""
        raise NotImplementedError

    def show_line(self, index: int) -> None:
        """Scroll to a line."""
        raise NotImplementedError

    def draw_now(self) -> None:
        """Show the lines as they are now."""
        raise NotImplementedError

    def tell(self) -> None:
        """What the title tells has changed."""
        raise NotImplementedError

    @property
    def search_words(self) -> list[str]:
        """What the title says of the search."""
        if not self.search:
            return []
        return [f"/{self.search}", *filter(None, [self._progress or self._counted])]

    def search_for(self, text: str) -> None:
        """Mark every `text` from now on and go to the last one; nothing marks nothing, and ends what still searches."""
        self.search = text
        self._forget_search()
        for group in ("hunt", "count"):
            self.workers.cancel_group(self, group)
        if text and self.reader is not None:
            self.next_match(-1)
            if not self._hunting:
                self._begin_to_count(self.reader)
        self.tell()

    def next_match(self, step: int) -> None:
        """Go to the next (1) or previous (-1) match and hold still there; beyond what is loaded its pod looks."""
        if not self.search or not self._lines or self.reader is None:
            return
        start = len(self._lines) - 1 if step < 0 else 0
        if self._match is not None:
            start = self._match - self.reader.buffer.first + step
        found = find(self._lines, self.search, start, step)
        if found is not None:
            self._show_match(found)
        elif self._hunting != step:
            self._hunting = step
            self.run_worker(self._hunt(self.reader, step), group="hunt", exclusive=True, exit_on_error=False)

    def _show_match(self, index: int) -> None:
        assert self.reader is not None
        self.hold_still()
        self._match = index + self.reader.buffer.first
        self.show_line(index)

    async def _hunt(self, reader: LogReader, step: int) -> None:
        """Let the pod look beyond what is loaded, and load what is around a match there."""
        wanted, found = self.search, None
        try:
            offset = await find_beyond(reader, wanted, step, self._tell_progress)
            if offset is not None:
                self.hold_still()
                if not await reader.go_to(offset):
                    return
                found = reader.buffer.index_of(offset)
            elif step > 0 and reader.is_far:
                found = find(reader.lines_of_the_end, wanted, 0, 1)
                if found is not None:
                    reader.leave_far()
        except PodopsError as error:
            self._note(f"only what is loaded was searched: {clean(error.message)}")
            return
        finally:
            if self._hunting == step:
                self._hunting = 0
                self._tell_progress("")
                self._begin_to_count(reader)
        if found is not None:
            self.draw_now()
            self._show_match(found)
        elif self._match is None:
            self._note(f"the log does not hold {clean(wanted)}")
        else:
            self._note(f"no match further {'up' if step < 0 else 'down'}")

    def _begin_to_count(self, reader: LogReader) -> None:
        """After the first search, which somebody waits for: each takes a processor of the pod."""
        if not self._is_counted:
            self._is_counted = True
            self.run_worker(self._count(reader), group="count", exclusive=True, exit_on_error=False)

    async def _count(self, reader: LogReader) -> None:
        def told(text: str) -> None:
            self._counted = text
            self.tell()

        try:
            await count(reader, self._lines, self.search, told)
        except PodopsError:
            told("")

    def _tell_progress(self, text: str) -> None:
        if text != self._progress:
            self._progress = text
            self.tell()

    def _note(self, text: str) -> None:
        """Tell it, unless the same still stands there."""
        now = time.monotonic()
        if self._noted != text or now >= self._noted_until:
            self._noted, self._noted_until = text, now + self.app.NOTIFICATION_TIMEOUT
            self.app.notify(text, markup=False)

    def _forget_search(self) -> None:
        """Another log is shown: what was found in the one before is not in it."""
        self._match, self._hunting, self._is_counted = None, 0, False
        self._progress = self._counted = ""
