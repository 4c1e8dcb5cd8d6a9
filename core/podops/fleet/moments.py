"""Moments in the words of a pod, which tells them without a time zone of anybody's, as a person here reads them."""

from __future__ import annotations

import calendar
import re
import time

_NOT_BEFORE = re.compile(r"not before (\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ)")


def by_this_clock(text: str) -> str:
    """`not before 2026-11-21 22:30:00Z` as `not before 22:30` today, and `not before 11-21 22:30` on another day."""
    return _NOT_BEFORE.sub(_local, text) if "not before " in text else text


def _local(found: re.Match[str]) -> str:
    try:
        utc = time.strptime(found[1], "%Y-%m-%d %H:%M:%SZ")
        here = time.localtime(calendar.timegm(utc))
    except (ValueError, OverflowError, OSError):  # no calendar has it
        return found[0]
    if here.tm_year > 9999:
        return found[0]
    today = here[:3] == time.localtime()[:3]
    return "not before " + time.strftime("%H:%M" if today else "%m-%d %H:%M", here)
