"""Numbers on the command line, and what is said of those that are none or out of range."""

from __future__ import annotations

import math

import click


class WholeNumber(click.IntRange):
    """A whole number between `min` and `max`, each with its bound and either left out."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = None
        if number is None or not _is_between(number, self.min, self.max):
            self.fail(f"{str(value)!r} is not a whole number{_range(self.min, self.max)}.", param, ctx)
        return number


class Number(click.FloatRange):
    """A finite number between `min` and `max`, each with its bound and either left out."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not _is_between(number, self.min, self.max):
            self.fail(f"{str(value)!r} is not a number{_range(self.min, self.max)}.", param, ctx)
        return number


def _is_between(number: float, least: float | None, most: float | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    if least is not None:
        return f" of at least {least:g}"
    return "" if most is None else f" of at most {most:g}"
