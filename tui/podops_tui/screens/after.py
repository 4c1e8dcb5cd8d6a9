"""Which runs a new one comes after: a field that tells them, and the list they are picked from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.run_words import run_mark
from podops_tui.widgets.row_list import RowList, cell

#: What `space` goes through: not at all, after its success, after its end whatever it is.
_CHOICES = ("", "success", "any end")

#: Run ids, and which end of theirs is waited for.
Parents = Mapping[str, str]


class AfterField(Static, can_focus=True):
    """Enter opens the list, backspace empties the choice."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "pick", "Pick", show=False),
        Binding("backspace,delete", "clear", "Clear", show=False),
    ]
    DEFAULT_CSS = """
    AfterField { height: 1; padding: 0 1; background: $surface-lighten-1; }
    AfterField:focus { background: $accent; color: $background; }
    """

    class Changed(Message):
        """Other runs were chosen."""

    def __init__(self, runs: Callable[[], Sequence[RunSnapshot]], *, id: str) -> None:
        """`runs` are those to pick from."""
        super().__init__(id=id)
        self._runs = runs
        self._parents: Parents = {}

    @property
    def after(self) -> tuple[str, ...]:
        return self._chosen("success")

    @property
    def after_any(self) -> tuple[str, ...]:
        return self._chosen("any end")

    def on_mount(self) -> None:
        self._tell()

    def on_click(self, event: Click) -> None:
        self.action_pick()

    def action_pick(self) -> None:
        def picked(parents: Parents | None) -> None:
            if parents is not None:
                self._take(parents)

        self.app.push_screen(AfterScreen(self._runs(), self._parents), picked)

    def action_clear(self) -> None:
        self._take({})

    def _take(self, parents: Parents) -> None:
        self._parents = parents
        self._tell()
        self.post_message(self.Changed())

    def _chosen(self, end: str) -> tuple[str, ...]:
        return tuple(run_id for run_id, wanted in self._parents.items() if wanted == end)

    def _tell(self) -> None:
        words = [clean(name) + (" (any end)" if end == "any end" else "") for name, end in self._parents.items()]
        empty = Text("no other run: enter picks some", "dim", no_wrap=True, overflow="ellipsis")
        self.update(Text(", ".join(words), no_wrap=True, overflow="ellipsis") if words else empty)


class _Runs(RowList[RunSnapshot]):
    def __init__(self, parents: Parents) -> None:
        super().__init__(id="parents")
        self.parents = dict(parents)
        self.empty = "no run of this pod is still to end"

    def key_of(self, item: RunSnapshot) -> object:
        return item.run_id

    def line_of(self, item: RunSnapshot | None, width: int) -> Text:
        if item is None:
            return Text.assemble(cell("AFTER ITS", 9), cell("STATE", 11), Text("RUN"))
        mark, colour = run_mark(item)
        row = Text.assemble(cell(self.parents.get(item.run_id, ""), 9, "bold yellow"))
        row.append_text(cell(f"{mark} {clean(item.state)}", 11, colour))
        return row.append(clean(item.run_id))

    def turn(self) -> None:
        """Go to the next choice for the run under the cursor."""
        if self.selected is None:
            return
        name = self.selected.run_id
        following = _CHOICES[(_CHOICES.index(self.parents.pop(name, "")) + 1) % len(_CHOICES)]
        if following:
            self.parents[name] = following
        self.refresh()


class AfterScreen(ModalScreen[Parents | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss", "Cancel"),
        Binding("space", "turn", "Choose", priority=True),
        Binding("enter", "take", "Done", priority=True),
    ]
    CSS = """
    AfterScreen { align: center middle; }
    AfterScreen #box { width: 76; max-width: 96%; height: auto; max-height: 100%; border: round $accent;
        background: $surface; padding: 0 1; }
    AfterScreen #parents { height: 12; max-height: 70vh; }
    """

    def __init__(self, runs: Sequence[RunSnapshot], parents: Parents) -> None:
        super().__init__()
        self._runs = runs
        self._parents = parents

    def compose(self) -> ComposeResult:
        box = Vertical(_Runs(self._parents), id="box")
        box.border_title = "Start after"
        box.border_subtitle = "space: success, any end, not · enter takes them · esc"
        yield box

    def on_mount(self) -> None:
        rows = self.query_one(_Runs)
        rows.show(list(self._runs))
        rows.focus()

    def action_turn(self) -> None:
        self.query_one(_Runs).turn()

    def action_take(self) -> None:
        self.dismiss(self.query_one(_Runs).parents)
