"""`python -m benchmarks.run [NAME…] [--write FILE]`: podops beside what a person would use instead, in one run.

Everything is measured on this machine alone, against an sshd on loopback that this program starts and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks import (
    app,
    at_scale,
    big_log,
    cold_status,
    connecting,
    drawn_line,
    idle,
    log_latency,
    printing,
    queue_scale,
    search,
    shared_link,
    start_time,
    submit_time,
)
from benchmarks.measure import Row
from benchmarks.world import World, world

MEASURES: dict[str, Callable[[World], Awaitable[list[Row]]]] = {
    "log": log_latency.measure,
    "drawn": drawn_line.measure,
    "status": cold_status.measure,
    "submit": submit_time.measure,
    "printing": printing.measure,
    "idle": idle.measure,
    "start": start_time.measure,
    "shared": shared_link.measure,
    "app": app.measure,
    "big-log": big_log.measure,
    "search": search.measure,
    "links": at_scale.measure,
    "connecting": connecting.measure,
    "own-machines": connecting.measure_own_machines,
    # Last, because whatever is measured while a thousand runs wait pays for them.
    "queue": queue_scale.measure,
}
PRESETS = (
    log_latency.PRESETS
    | cold_status.PRESETS
    | submit_time.PRESETS
    | printing.PRESETS
    | idle.PRESETS
    | shared_link.PRESETS
    | at_scale.PRESETS
    | queue_scale.PRESETS
)

#: Everything below this line of the file is written by `--write`.
MARKER = "<!-- written by `make bench`: edit above this line only -->"


async def measure(names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    with world(PRESETS) as made:
        for name in names:
            sys.stderr.write(f"measuring {name}…\n")
            rows += await MEASURES[name](made)
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| what | podops | instead | | ratio |", "|---|---:|---:|---|---:|"]
    for row in rows:
        theirs = _figure(row.theirs, row.unit) if row.theirs or row.unit.startswith("%") else "-"
        cells = (row.what, _figure(row.ours, row.unit), theirs, row.instead, row.ratio)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _figure(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = f"{os.cpu_count()} shared cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"
    return f"{system}; load average {os.getloadavg()[1]:.1f} from other work when it began"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASURES)}; all")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the table of this file")
    given = parser.parse_args()
    unknown = set(given.names) - set(MEASURES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    began_on = machine()
    told = f"Measured on: {began_on}.\n\n" + table(asyncio.run(measure(given.names or list(MEASURES))))
    sys.stdout.write(told)
    if given.write:
        by_hand = given.write.read_text(encoding="utf-8").partition(MARKER)[0]
        given.write.write_text(f"{by_hand}{MARKER}\n\n{told}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
