"""Cells of the tables: exactly as wide as their column, whatever stands in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from podops_tui.widgets.row_list import cell


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])), st.integers(1, 20))
def test_a_cell_is_cut_or_filled_to_its_width_as_rich_does_it(text: str, width: int) -> None:
    for right in (False, True):
        shown = Text(text, "red")
        shown.truncate(width, overflow="ellipsis")
        shown.align("right" if right else "left", width)
        told = cell(text, width, "red", right=right)
        assert (told.plain, told.style) == (shown.plain + " ", "red")
