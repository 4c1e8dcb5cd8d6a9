"""`python -m benchmarks.noting_app FILE …`: the app, which notes in FILE how old lines were when its log pane had them.

The rest are the words of `ops`. A line says when it was written (benchmarks.log_latency).
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from podops.cli.main import main
from podops_tui.widgets.log_view import LogView

_STAMP = re.compile(r"\d{19}")


def note_ages() -> dict[str, float]:
    """Milliseconds by line, of every line that comes from now on."""
    ages: dict[str, float] = {}
    plain, begun = LogView._grown, time.time_ns()

    def noted(view: LogView) -> None:
        now = time.time_ns()
        lines = view.reader.buffer.lines() if view.reader is not None else []
        for line in lines[-3:]:
            if _STAMP.fullmatch(line) and int(line) > begun:
                ages.setdefault(line, (now - int(line)) / 1e6)
        plain(view)

    LogView._grown = noted  # type: ignore[method-assign,assignment]
    return ages


if __name__ == "__main__":
    target = Path(sys.argv.pop(1))
    found = note_ages()
    try:
        main()
    finally:
        target.write_text(json.dumps(list(found.values())))
