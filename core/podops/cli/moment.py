"""Moments and durations on the command line: `--at 22:30`, `--delay 2h`."""

from __future__ import annotations

import time
from datetime import datetime

import click

from podops.config.units import parse_duration
from podops.start_time import parse_moment


class MomentType(click.ParamType[float]):
    """Unix time of `22:30` (the next one) or `2026-11-21 22:30`, local unless it ends in `Z` or an offset."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        moment = parse_moment(str(value), datetime.now())
        if moment is None:
            self.fail(f"{value!r} is not a time: write 22:30 or 2026-11-21 22:30", param, ctx)
        if moment < time.time():
            self.fail(f"{value!r} is past", param, ctx)
        return moment


class DurationType(click.ParamType[float]):
    """`90s`, `2h`, `1d`: seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = parse_duration(value)
        except ValueError:
            seconds = None
        if seconds is None:
            self.fail(f"{value!r} is not a duration: write 90s, 15m, 2h or 1d", param, ctx)
        return seconds
