"""`python -m benchmarks.noting_app FILE …`: the app, which notes in FILE how old lines were when its log pane had them.

The rest are the words of `ops`. A line says when it was written (benchmarks.log_latency).
"""

from __future__ import annotations

import re
import sys
import time
from typing import TextIO

from podops.cli.main import main
from podops_tui.widgets.log_view import LogView

_STAMP = re.compile(r"\d{19}")


def note_ages(target: TextIO) -> None:
    """Milliseconds, a line each, of every line that comes from now on."""
    known: set[str] = set()
    plain, begun = LogView._grown, time.time_ns()

    def noted(view: LogView) -> None:
        now = time.time_ns()
        lines = view.reader.buffer.lines() if view.reader is not None else []
        for line in lines[-3:]:
            if line not in known and _STAMP.fullmatch(line) and int(line) > begun:
                known.add(line)
                target.write(f"{(now - int(line)) / 1e6}\n")
        plain(view)

    LogView._grown = noted  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    # Each is written at once: a command ends without looking back.
    note_ages(open(sys.argv.pop(1), "w", buffering=1))  # noqa: SIM115
    main()
