"""What is said of a number on the command line that is none, or out of range."""

from __future__ import annotations

import click
import pytest

from podops.cli.number import Number, WholeNumber


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (WholeNumber(-5, 5), "x", "'x' is not a whole number from -5 to 5."),
        (WholeNumber(-5, 5), "6", "'6' is not a whole number from -5 to 5."),
        (WholeNumber(min=1), "1.5", "'1.5' is not a whole number of at least 1."),
        (Number(min=0.1), "nan", "'nan' is not a number of at least 0.1."),
        (Number(min=0), "inf", "'inf' is not a number of at least 0."),
        (Number(max=2), "x", "'x' is not a number of at most 2."),
    ],
)
def test_a_number_that_cannot_be_taken_is_told_with_what_could(
    kind: WholeNumber | Number, text: str, told: str
) -> None:
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(text, None, None)
    assert refused.value.message == told


def test_a_number_within_its_range_is_taken() -> None:
    assert (WholeNumber(-5, 5).convert("-5", None, None), Number(min=0.5).convert("0.5", None, None)) == (-5, 0.5)
