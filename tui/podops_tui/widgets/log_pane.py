"""The log with its title and its search line, and the actions every screen with a log has."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.markup import escape
from textual.screen import Screen
from textual.widgets import Input

from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.widgets.log_view import LogView


class LogPane(Vertical):
    """Focus it by focusing `view`."""

    DEFAULT_CSS = """
    LogPane { border: round $surface-lighten-2; }
    LogPane:focus-within { border: round $accent; }
    LogPane #search { display: none; height: 1; border: none; padding: 0 1; }
    LogPane #search.open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", show=False)]

    def __init__(self, *, number: int) -> None:
        super().__init__(id="log")
        self._number = number
        self._others = ""
        # That the pod does not tell the log now, and why.
        self._away = ""
        self._told = ("", "")
        self._ended = False

    def compose(self) -> ComposeResult:
        yield LogView(id="log-view")
        yield Input(id="search", placeholder="search the log", compact=True)

    def on_mount(self) -> None:
        self._title()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def show_run(self, fleet: Fleet, run: RunSnapshot | None) -> None:
        self.view.show_run(fleet, run)
        self._ended = run is not None and run.ended
        pod = None if run is None else fleet.snapshot.pods.get(run.pod)
        self._away = "" if pod is None or pod.state == "live" else f" · pod is {pod.state}"
        self._title()

    def tell_others(self, text: str) -> None:
        """What else could stand here: told in the frame while there is no trouble to tell."""
        self._others = text
        self._title()

    def open_search(self) -> None:
        box = self.query_one("#search", Input)
        box.add_class("open")
        box.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "close" or bool(self.view.search) or self.query_one("#search").has_class("open")

    def action_close(self) -> None:
        box = self.query_one("#search", Input)
        box.value = ""
        box.remove_class("open")
        self.view.search_for("")
        self.view.focus()

    @on(Input.Submitted, "#search")
    def _search(self, event: Input.Submitted) -> None:
        self.query_one("#search").remove_class("open")
        self.view.focus()
        self.view.search_for(event.value)

    @on(LogView.Changed)
    def _title(self) -> None:
        title = self.view.title
        if self._ended and self.view.follow:
            # Nothing comes any more.
            title = title.replace(" · following", "", 1)
        told = (f"{self._number} {clean(title)}{self._away}", self.view.trouble[:200] or self._others)
        # To set the same again would draw the whole pane anew.
        if told != self._told:
            self._told = told
            # Square brackets of a search would be read as markup.
            self.border_title, self.border_subtitle = map(escape, told)


class LogActions(Screen[None]):
    """For screens that hold one `LogPane`."""

    def op_follow(self) -> None:
        self.query_one(LogPane).view.toggle_follow()

    def op_wrap(self) -> None:
        self.query_one(LogPane).view.toggle_wrap()

    def op_next_match(self) -> None:
        self.query_one(LogPane).view.next_match(1)

    def op_previous_match(self) -> None:
        self.query_one(LogPane).view.next_match(-1)
