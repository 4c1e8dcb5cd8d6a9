"""The runs of every pod, one line each, newest first unless sorted otherwise."""

from __future__ import annotations

import time

from rich.text import Text
from textual.markup import escape

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age, elapsed, loss, state_mark, steps
from podops_tui.widgets.row_list import RowList, cell

SORTS = ("newest", "state", "pod", "preset")


class RunsTable(RowList[RunSnapshot]):
    BORDER_TITLE = "Runs"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.text_filter = ""
        self.sort = SORTS[0]

    def show_runs(self, runs: list[RunSnapshot]) -> None:
        """Show those of `runs` (newest first) that hold the filter text, in the chosen order."""
        wanted = self.text_filter.lower().split()
        shown = [run for run in runs if all(word in _searched(run) for word in wanted)]
        if self.sort != "newest":
            shown.sort(key=lambda run: str(getattr(run, self.sort)))
        title = f"Runs {len(shown)}/{len(runs)} · {self.sort}"
        # Square brackets of the filter would be read as markup.
        self.border_title = escape(title + (f" · /{self.text_filter}" if wanted else ""))
        self.show(shown)

    def next_sort(self) -> None:
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]

    def key_of(self, item: RunSnapshot) -> object:
        return (item.project, item.run_id)

    def line_of(self, item: RunSnapshot | None, width: int) -> Text:
        wide = width >= 110
        name_width = max(18, min(40, width - (88 if wide else 50)))
        if item is None:
            words = ["STATE", "RUN", "POD", "PRESET", "ELAPSED", "STEP", "LOSS", "REASON"]
            style = ""
        else:
            mark, style = state_mark(item.state)
            words = [f"{mark} {clean(item.state)}", clean(item.run_id), clean(item.pod), clean(item.preset)]
            words += [age(elapsed(item, time.monotonic())), steps(item), loss(item.metrics), _reason(item)]
        row = Text.assemble(cell(words[0], 11, style), cell(words[1], name_width))
        row.append_text(cell(words[2], 12 if wide else 9))
        if wide:
            row.append_text(cell(words[3], 14))
        row.append_text(cell(words[4], 7, right=True))
        if wide:
            row.append_text(cell(words[5], 13, right=True)).append_text(cell(words[6], 8, right=True))
        return row.append(words[7], style)


def _searched(run: RunSnapshot) -> str:
    words = (run.run_id, run.pod, run.preset, run.state, run.reason or "", run.kind, *run.tags)
    return " ".join(words).lower()


def _reason(run: RunSnapshot) -> str:
    if run.stalled and not run.ended:
        return "stalled"
    return clean(run.reason or run.phase)
