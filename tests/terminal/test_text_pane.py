"""Panes of text: wrapped, selected, and drawn anew row by row."""

from __future__ import annotations

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.geometry import Offset, Region, Size
from textual.scrollbar import ScrollBar
from textual.strip import Strip
from textual.widget import Widget

from podops_tui.widgets.log_bar import LogBar
from podops_tui.widgets.log_view import LogView
from podops_tui.widgets.text_pane import TextPane
from tests.terminal.test_dragging import Mouse

TOLD = "step 10\nno space left on device: the volume of the pod is full\n  日本語の長い行です\tend\n"


class OnePane(App[None]):
    def compose(self) -> ComposeResult:
        yield TextPane(id="pane", title="told")

    @property
    def rows(self) -> list[str]:
        strips = self.screen._compositor.render_strips()
        return [strip.text[1:-1].rstrip() for strip in strips[1:-1]]


async def test_lines_are_wrapped_between_words_and_anew_when_the_pane_gets_another_width() -> None:
    app = OnePane()
    async with app.run_test(size=(24, 9)) as pilot:
        app.query_one(TextPane).show(Text(TOLD))
        await pilot.pause()
        assert app.rows == [
            "step 10",
            "no space left on",
            "device: the volume of",
            "the pod is full",
            "  日本語の長い行です",
            "end",
            "",
        ]
        await pilot.resize_terminal(62, 9)
        await pilot.pause()
        assert app.rows[1] == "no space left on device: the volume of the pod is full"
        assert app.rows[2] == "  日本語の長い行です    end"
        await pilot.resize_terminal(24, 6)
        await pilot.pause()
        app.query_one(TextPane).action_scroll_end()
        await pilot.pause(0.6)
        assert app.query_one(TextPane).show_vertical_scrollbar
        assert [row.rstrip("▂▃▄▅▆▇▁ ") for row in app.rows][-1] == "end"


async def test_what_is_selected_is_copied_as_it_was_told_and_not_as_it_was_wrapped() -> None:
    app = OnePane()
    async with app.run_test(size=(24, 9)) as pilot:
        app.query_one(TextPane).show(Text(TOLD))
        await pilot.pause()
        mouse = Mouse(pilot, Offset(4, 2))
        await mouse.press()
        await mouse.drag_to(Offset(7, 4))
        await mouse.release()
        assert app.screen.get_selected_text() == "space left on device: the volume of the pod"
        chosen = app.screen.get_component_rich_style("screen--selection").bgcolor
        marked = [
            "".join(segment.text for segment in strip if segment.style and segment.style.bgcolor == chosen)
            for strip in app.screen._compositor.render_strips()
        ]
        assert [row.rstrip() for row in marked if row] == ["space left on", "device: the volume of", "the pod"]


async def test_only_the_rows_that_tell_something_else_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Region] = []
    app = OnePane()
    async with app.run_test(size=(40, 12)) as pilot:
        pane = app.query_one(TextPane)
        pane.show(Text("state running\nstep 10\nloss 0.5"))
        await pilot.pause()
        monkeypatch.setattr(pane, "refresh", lambda *regions, **_options: drawn.extend(regions))
        pane.show(Text("state running\nstep 11\nloss 0.5"))
        assert [region.y for region in drawn] == [1]
        drawn.clear()
        pane.show(Text("state running\nstep 11\nloss 0.5"))
        assert drawn == []
        pane.show(Text.assemble("state running\nstep 11\n", ("loss 0.5", "red")))
        assert [region.y for region in drawn] == [2]


class OneLog(App[None]):
    def compose(self) -> ComposeResult:
        yield LogView(id="log-view")


@pytest.mark.parametrize("no_color", [False, True])
async def test_the_bar_of_a_log_looks_as_any_other_and_draws_the_rows_alone_that_change(
    monkeypatch: pytest.MonkeyPatch, no_color: bool
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    app = OneLog()
    async with app.run_test(size=(20, 30)) as pilot:
        view = app.query_one(LogView)
        bar = view.vertical_scrollbar
        assert isinstance(bar, LogBar)
        view.virtual_size = Size(0, 40)
        await pilot.pause()
        assert bar.size.height == 30
        anew: list[int] = []
        plain_refresh = Widget.refresh
        before: list[Strip] = []
        for lines, top in ((40, 0), (40, 3), (60, 25), (400, 200), (401, 371), (4000, 3970), (4001, 3971), (20, 0)):
            bar.window_size = 30
            bar.refresh()
            await pilot.pause()
            before = bar.render_lines(bar.size.region)
            with monkeypatch.context() as noted:
                noted.setattr(bar, "refresh", lambda *regions, **_options: anew.extend(one.y for one in regions))
                bar.move(lines, top)
            plain_refresh(bar)
            shown = bar.render_lines(bar.size.region)
            changed = [y for y, (row, was) in enumerate(zip(shown, before, strict=True)) if row != was]
            assert anew == changed
            anew.clear()
            plain_refresh(bar)
            with monkeypatch.context() as plainly:
                plainly.setattr(LogBar, "render_line", ScrollBar.render_line)
                assert shown == bar.render_lines(bar.size.region)
