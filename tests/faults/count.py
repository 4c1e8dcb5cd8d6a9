"""`python -m tests.faults.count ROUNDS [pytest arguments]`: do every fault so often, and tell how often each was tried.

Prints a line per test: its name, how often it ran, how often its invariants held. Exits with 1 when one did not.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest


class Tally:
    """A pytest plugin that counts by test function."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.held: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.split("::", 1)[-1].split("[")[0]
        if report.when == "call" and not report.skipped:
            self.tried[name] += 1
            self.held[name] += report.passed
        elif report.failed:
            self.held[name] -= 1


def main(arguments: list[str]) -> int:
    rounds = arguments[0] if arguments else "1"
    os.environ["OPS_FAULT_ROUNDS"] = rounds
    tally = Tally()
    status = pytest.main(["-q", *(arguments[1:] or [str(Path(__file__).parent)])], plugins=[tally])
    for name in tally.tried:
        print(f"{tally.tried[name]:4} tried {tally.held[name]:4} held  {name}")
    print(f"{sum(tally.tried.values()):4} tried {sum(tally.held.values()):4} held  in all")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
