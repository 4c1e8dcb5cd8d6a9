"""The runs of every pod, one line each, newest first unless sorted otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from operator import attrgetter

from rich.cells import cell_len
from rich.text import Text
from textual.markup import escape

from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import DASH, age, elapsed, loss, remaining, steps
from podops_tui.run_words import run_mark, waited, why
from podops_tui.widgets.row_list import RowList, cell

SORTS = ("newest", "queue", "state", "pod", "preset")


#: A run's place in the list: `(project, run_id)`.
RunKey = tuple[str, str]

#: From this width on a run's numbers have columns of their own, if its name still stands there whole.
_WIDE = 110

#: What a row needs beside the name: with all columns and a little of why; without the numbers; without the pod.
_BESIDE_WIDE, _BESIDE, _BESIDE_NARROW = 89, 48, 26

#: A name gets so many cells, if it needs them.
_NAME_LEAST, _NAME_MOST = 18, 40

#: What a row needs beside the name at least: state and time, and a cell that says when more follows.
_BESIDE_LEAST = 22

#: Below this width a run's pod is left out.
_NARROW = 64

#: What stands before the loss where there is little room: how far it is and the time left, or what there is to say.
_BEFORE_LOSS = 12


_RUN_ID = attrgetter("run_id")


class RunsTable(RowList[RunSnapshot]):
    def __init__(self, *, id: str, number: int) -> None:
        super().__init__(id=id)
        self._number = number
        self.text_filter = ""
        self.sort = SORTS[0]
        self.marked: set[RunKey] = set()
        self._seen: Mapping[str, float] = {}
        #: How many runs there are, shown or not.
        self.known = 0
        # Whether the run under the cursor was only remembered when it was shown last.
        self._remembered = False
        self._longest = 0
        self._words: list[str] = []

    def show_runs(self, runs: list[RunSnapshot], pods: Mapping[str, PodSnapshot]) -> None:
        """Show those of `runs` (newest first) that hold the filter text, in the chosen order.

        What a pod said that is not live now is shown as old.
        """
        self._seen = {
            pod.name: pod.as_of or pod.last_seen or 0.0
            for pod in pods.values()
            if pod.as_of is not None or pod.state not in ("live", "connecting")
        }
        self.known = len(runs)
        self._longest = max(map(len, map(_RUN_ID, runs)), default=0)
        wanted = self.text_filter.lower().split()
        shown = [run for run in runs if all(word in _searched(run) for word in wanted)] if wanted else list(runs)
        if self.sort == "queue":
            shown.sort(key=_queue_order)
        elif self.sort != "newest":
            shown.sort(key=lambda run: str(getattr(run, self.sort)))
        if self.marked:
            self.marked &= {run_key(run) for run in runs}
        words = [f"{self._number} Runs {len(shown)}/{len(runs)}", self.sort]
        words += [f"{len(self.marked)} marked"] if self.marked else []
        words += [f"/{self.text_filter}"] if wanted else []
        self.empty = "no run holds these words" if runs else "no runs yet: s submits one"
        if words != self._words:
            self._words = words
            # Square brackets of the filter would be read as markup.
            self.border_title = escape(" · ".join(words))
        self.show(shown)
        self._remembered = self.selected is not None and self.selected.pod in self._seen

    def stays_first(self) -> bool:
        # A run that the pods have not told of yet was not chosen by anybody; the newest may be another by now.
        return self._remembered and not self.moved

    def next_sort(self) -> None:
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]

    def mark(self) -> None:
        """Mark the selected run or take its mark back, and go on to the next."""
        if self.selected is not None:
            self.marked ^= {run_key(self.selected)}
            self.action_move(1)
            self.refresh()

    def look(self) -> object:
        return (frozenset(self.marked), self._seen, self._longest, self.empty)

    def key_of(self, item: RunSnapshot) -> RunKey:
        return run_key(item)

    def line_of(self, item: RunSnapshot | None, width: int) -> Text:
        if item is None:
            return _header(width, self._longest)
        mark, style = run_mark(item)
        row = Text.assemble(("*" if run_key(item) in self.marked else " ", "bold yellow"))
        row.append_text(cell(f"{mark} {clean(item.state)}", 11, style))
        row.append_text(cell(clean(item.run_id), _name_width(width, self._longest)))
        old = "" if item.ended else self._old(item.pod)
        now = item.received_at if old else time.monotonic()
        if _is_wide(width, self._longest):
            _wide_rest(row, item, now, style).append(f" {old}" if old else "")
        else:
            _rest(row, item, now, width, style, old)
        if old:
            row.stylize("dim")
        return row

    def _old(self, pod: str) -> str:
        """How old the word of a pod is that is not live; empty for one that is."""
        seen = self._seen.get(pod)
        return "" if seen is None else f"as of {age(time.time() - seen)} ago" if seen else "as last seen"


def run_key(run: RunSnapshot) -> RunKey:
    return (run.project, run.run_id)


def _queue_order(run: RunSnapshot) -> tuple[int, str, float]:
    """What waits first, by pod and place, held runs last among them; then the others as they were."""
    if not run.waiting:
        return (1, "", 0.0)
    return (0, run.pod, run.place or math.inf)


def _name_width(width: int, longest: int) -> int:
    """What the longest name needs, as far as there is room for it."""
    beside = _BESIDE_WIDE if _is_wide(width, longest) else _BESIDE if width >= _NARROW else _BESIDE_NARROW
    least = min(_NAME_LEAST, max(8, width - _BESIDE_LEAST))
    return max(least, min(_NAME_MOST, longest, width - beside))


def _is_wide(width: int, longest: int) -> bool:
    """Whether there is room for a column of each number beside the whole of the longest name."""
    return width >= max(_WIDE, _BESIDE_WIDE + min(_NAME_MOST, longest))


def _header(width: int, longest: int) -> Text:
    row = Text.assemble(" ", cell("STATE", 11), cell("RUN", _name_width(width, longest)))
    if not _is_wide(width, longest):
        if width >= _NARROW:
            row.append_text(cell("POD", 9))
        row.append_text(cell("TIME", 6, right=True)).append_text(cell("DONE", 4, right=True))
        return row.append_text(cell("ETA", 6, right=True)).append("LOSS")
    row.append_text(cell("POD", 12)).append_text(cell("PRESET", 12)).append_text(cell("TIME", 6, right=True))
    row.append_text(cell("STEP", 13, right=True)).append_text(cell("ETA", 6, right=True))
    return row.append_text(cell("LOSS", 8, right=True)).append("WHY")


def _rest(row: Text, run: RunSnapshot, now: float, width: int, style: str, old: str) -> Text:
    """What follows the run's name where there is little room: `old` instead of figures nobody can rely on."""
    if width >= _NARROW:
        row.append_text(cell(clean(run.pod), 9))
    row.append_text(_time(run, now))
    if told := old or why(run, now):
        return _told_rest(row, run, told, width, "" if old else style)
    return _narrow_rest(row, run, now, width)


def _time(run: RunSnapshot, now: float) -> Text:
    """How long it has run, or waited."""
    return cell(age(waited(run, now) if run.waiting else elapsed(run, now)), 6, right=True)


def _wide_rest(row: Text, run: RunSnapshot, now: float, style: str) -> Text:
    row.append_text(cell(clean(run.pod), 12)).append_text(cell(clean(run.preset), 12))
    row.append_text(_time(run, now)).append_text(cell(steps(run), 13, right=True))
    row.append_text(cell(age(remaining(run, now)), 6, right=True))
    return row.append_text(cell(loss(run), 8, right=True)).append(why(run, now, full=True), style)


def _told_rest(row: Text, run: RunSnapshot, told: str, width: int, style: str) -> Text:
    """What there is to say of a run, and its loss if both have room, in its column if that has."""
    room = width - row.cell_len
    short = told.removeprefix("as of ")
    for words in (told, short):
        taken = max(_BEFORE_LOSS, cell_len(words) + 1)
        last = "" if run.waiting else _loss_in(run, room - taken)
        if last not in ("", DASH):
            return row.append(words.ljust(taken), style).append(last)
    return row.append(told if cell_len(told) <= room else short, style)


def _narrow_rest(row: Text, run: RunSnapshot, now: float, width: int) -> Text:
    """How far it is or came; nothing for one that is over and has told neither that nor a loss."""
    room = width - row.cell_len
    times = not run.ended or room > _BEFORE_LOSS + 3
    last = _loss_in(run, room - (_BEFORE_LOSS if times else 5)) or loss(run)
    if run.waiting or (run.ended and run.step is None and last == DASH):
        return row
    done = run.share
    if done is None and run.step is not None:
        # Nobody knows of how many in all; there is no time left to tell either, so it has the room of both.
        told = steps(run) if run.total_steps else f"step {run.step}"
        return row.append_text(cell(told, _BEFORE_LOSS - 1, right=True)).append(last)
    row.append_text(cell(DASH if done is None else f"{done:.0%}", 4, right=True))
    if times:
        row.append_text(cell("" if run.ended else age(remaining(run, now)), 6, right=True))
    return row.append(last)


def _loss_in(run: RunSnapshot, room: int) -> str:
    """The last loss with as many digits as `room` has: a few tell more than a mark that some are missing."""
    return next((told for digits in (4, 3, 2) if len(told := loss(run, digits)) <= room), "")


def _searched(run: RunSnapshot) -> str:
    words = (run.run_id, run.pod, run.preset, run.state, run.reason or "", run.kind, *run.tags)
    return " ".join(words).lower()
