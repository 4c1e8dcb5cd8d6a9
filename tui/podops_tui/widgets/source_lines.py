"""Pod sources that need somebody: a line each, there for as long as the trouble lasts."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from podops.fleet.snapshot import SourceSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age

#: With more sources in trouble than this the last line counts the others.
_MOST = 3

#: Nor are there more rows of it than this, however long they are.
_ROWS = 4


class SourceLines(Static):
    """Takes no room while every source is well."""

    DEFAULT_CSS = "SourceLines { padding: 0 1; display: none; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown = Text()

    def show(self, sources: Sequence[SourceSnapshot], width: int) -> int:
        """How many rows of `width` cells that takes."""
        lines = source_lines(sources, time.time())
        rows = min(_ROWS, sum(-(-line.cell_len // max(1, width - 4)) for line in lines))
        text = Text("\n").join(lines)
        if text != self._shown:
            self._shown = text
            self.display = bool(lines)
            self.styles.height = rows
            # Its height is said above; the text itself lays nothing out anew.
            self.update(text, layout=False)
        return rows


def source_lines(sources: Sequence[SourceSnapshot], now: float) -> list[Text]:
    """What is wrong with each source, since when, how old its pods are, and what to do; `now` is Unix time."""
    lines = [_line(source, now) for source in sources if source.problem or source.notes]
    if len(lines) > _MOST:
        more = len(lines) - _MOST + 1
        lines[_MOST - 1 :] = [Text(f"⚠ {more} more sources need somebody: ops doctor", "yellow")]
    return lines


def source_text(source: SourceSnapshot, now: float) -> str:
    """In one sentence what `source` has said last."""
    if source.problem:
        since = f" for {age(now - source.failing_since)}" if source.failing_since else ""
        pods = f" · its {_pods(source)} as of {age(now - source.answered_at)} ago" if source.answered_at else ""
        hint = f" · {source.hint}" if source.hint else ""
        return clean(f"failing{since}: {source.problem}{pods}{hint}").replace("\n", " ")
    if source.answered_at is None:
        return "is being asked"
    return clean(f"{_pods(source)}, as of {age(now - source.answered_at)} ago")


def _line(source: SourceSnapshot, now: float) -> Text:
    if source.problem:
        return Text.assemble((f"✗ source {clean(source.name)} ", "bold red"), (source_text(source, now), "red"))
    more = f" (and {len(source.notes) - 1} more: ops doctor)" if len(source.notes) > 1 else ""
    note = clean(source.notes[0]).replace("\n", " ")
    return Text.assemble((f"⚠ source {clean(source.name)}: ", "yellow"), (note + more, "yellow"))


def _pods(source: SourceSnapshot) -> str:
    return f"{source.pods} pod" + ("" if source.pods == 1 else "s")
