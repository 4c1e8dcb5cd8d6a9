"""Choose a preset and a pod, type overrides, see exactly what will run and when, start it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from podops.config.model import ProjectConfig
from podops.errors import PodopsError
from podops.fleet.snapshot import FleetSnapshot, RunSnapshot
from podops_runners.runid import new_run_id
from podops_tui.ansi import clean
from podops_tui.screens.after import AfterField
from podops_tui.submission import Prefilled, Submission, Typed, check, room, roomiest, told, typed_gpus

#: Below so many columns the buttons leave out their keys, which the frame tells.
_NARROW = 72


class Tick(Checkbox):
    """Textual's own shows its cross also when off, in another colour; on few colours nobody could tell."""

    BUTTON_INNER = " "

    def watch_value(self) -> None:
        self.BUTTON_INNER = "X" if self.value else " "
        super().watch_value()


class SubmitScreen(ModalScreen[Submission | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "cancel", "Cancel"),
        Binding("ctrl+s", "start", "Submit", priority=True),
        # Before the field in focus sees them: what is typed right after tab must reach the next field.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]
    CSS = """
    SubmitScreen { align: center middle; }
    SubmitScreen #box { width: 96%; max-width: 120; height: 96%; max-height: 36; min-height: 6; border: round $accent;
        background: $surface; padding: 0 1; }
    SubmitScreen #form { height: 1fr; }
    SubmitScreen #choices { height: 2fr; min-height: 4; }
    SubmitScreen OptionList { width: 1fr; height: 1fr; border: round $surface-lighten-2; }
    SubmitScreen OptionList:focus { border: round $accent; }
    SubmitScreen #plan-box { height: 3fr; min-height: 4; border: round $surface-lighten-2; }
    SubmitScreen #plan { height: auto; }
    SubmitScreen .line { height: 1; }
    SubmitScreen Label { width: auto; padding: 0 1; color: $text-muted; }
    SubmitScreen Input { width: 1fr; }
    SubmitScreen #gpus, SubmitScreen #priority { width: 9; }
    SubmitScreen #after { width: 1fr; }
    SubmitScreen #hold { width: auto; margin-left: 2; }
    SubmitScreen #buttons { height: 1; }
    SubmitScreen #force { width: 1fr; }
    SubmitScreen Button { margin-right: 2; }
    SubmitScreen.narrow Button { min-width: 0; margin-right: 1; }
    SubmitScreen Checkbox { border: none; padding: 0; background: transparent; }
    """

    def __init__(self, config: ProjectConfig, snapshot: Callable[[], FleetSnapshot], prefilled: Prefilled) -> None:
        super().__init__()
        self._config = config
        self._snapshot = snapshot
        self._prefilled = prefilled
        # One id for each preset as long as the dialog is open: the text in view is what will be.
        self._ids: dict[str, str] = {}
        self.submission: Submission | None = None

    def compose(self) -> ComposeResult:
        given = self._prefilled
        box = Vertical(id="box")
        box.border_title = "Submit a run"
        box.border_subtitle = "tab next field · ctrl+s submits · esc cancels"
        with box:
            with VerticalScroll(id="form", can_focus=False):
                with Horizontal(id="choices"):
                    yield _titled(OptionList(*self._presets(), id="preset"), "Preset")
                    yield _titled(OptionList(*self._pods(), id="pod"), "Pod")
                with Horizontal(classes="line"):
                    yield Label("overrides")
                    yield Input(given.overrides, id="overrides", placeholder="key=value key='two words'", compact=True)
                with Horizontal(classes="line"):
                    yield Label("gpus")
                    yield Input(given.gpus, id="gpus", placeholder="preset", compact=True)
                    yield Label("priority")
                    yield Input(given.priority, id="priority", placeholder="preset", compact=True)
                    yield Label("start")
                    yield Input(id="start", placeholder="now; 2h or 22:30", compact=True)
                with Horizontal(classes="line"):
                    yield Label("after")
                    yield AfterField(self._to_come_after, id="after")
                    yield Tick("hold in the queue", id="hold", compact=True)
                with Horizontal(classes="line"):
                    yield Label("run id")
                    yield Input(id="run-id", placeholder="made from the time", compact=True)
                    yield Label("tags")
                    yield Input(given.tags, id="tags", placeholder="a b", compact=True)
                plan = VerticalScroll(Static(id="plan"), id="plan-box", can_focus=False)
                plan.border_title = "Will run"
                yield plan
            with Horizontal(id="buttons"):
                yield Button("Submit (ctrl+s)", id="submit", variant="success", compact=True)
                yield Button("Cancel (esc)", id="cancel", compact=True)
                yield Tick("force over an existing id", id="force", compact=True)

    def on_mount(self) -> None:
        self._choose("preset", self._prefilled.preset)
        self._choose("pod", self._prefilled.pod or roomiest(self._snapshot()))
        self.query_one("#preset").focus()
        self._check()

    def on_resize(self) -> None:
        narrow = self.size.width < _NARROW
        self.set_class(narrow, "narrow")
        self.query_one("#submit", Button).label = "Submit" if narrow else "Submit (ctrl+s)"
        self.query_one("#cancel", Button).label = "Cancel" if narrow else "Cancel (esc)"
        self.query_one("#force", Checkbox).label = "force" if narrow else "force over an existing id"

    def show_snapshot(self, snapshot: FleetSnapshot) -> None:
        """Tell anew what is free."""
        pods = self.query_one("#pod", OptionList)
        for name in self._config.pods:
            pods.replace_option_prompt(name, _line(name, room(snapshot.pods.get(name))))
        self._check()

    def _presets(self) -> list[Option]:
        presets = self._config.presets.values()
        return [Option(_line(preset.name, preset.description or preset.kind), id=preset.name) for preset in presets]

    def _pods(self) -> list[Option]:
        pods = self._snapshot().pods
        return [Option(_line(name, room(pods.get(name))), id=name) for name in self._config.pods]

    @on(OptionList.OptionHighlighted)
    @on(Input.Changed)
    @on(Checkbox.Changed)
    @on(AfterField.Changed)
    def _check(self) -> None:
        self.submission = None
        typed = self._typed()
        if (preset := self._config.presets.get(typed.preset)) is not None:
            self.query_one("#gpus", Input).placeholder = typed_gpus(preset.gpus)
            self.query_one("#priority", Input).placeholder = str(preset.priority)
        try:
            fresh = self._ids.setdefault(typed.preset, new_run_id(typed.preset))
            self.submission = check(self._config, self._snapshot(), typed, fresh)
            shown = told(self.submission, self._config, self._snapshot())
        except PodopsError as error:
            shown = Text.assemble((clean(error.message), "bold red"), "\n", (clean(error.hint), ""))
        self.query_one("#plan", Static).update(shown)
        self.query_one("#submit", Button).disabled = self.submission is None

    def _typed(self) -> Typed:
        texts = {field.id: field.value for field in self.query(Input)}
        parents = self.query_one(AfterField)
        return Typed(
            self._chosen("preset"),
            self._chosen("pod"),
            texts["overrides"],
            texts["gpus"],
            texts["run-id"],
            texts["tags"],
            self.query_one("#force", Checkbox).value,
            texts["priority"],
            texts["start"],
            self.query_one("#hold", Checkbox).value,
            parents.after,
            parents.after_any,
        )

    def _to_come_after(self) -> list[RunSnapshot]:
        """The runs of the chosen pod that have not ended, newest first."""
        pod = self._chosen("pod")
        runs = [run for run in self._snapshot().runs() if run.pod == pod and run.project in ("", self._config.name)]
        return [run for run in runs if not run.ended and run.state != "lost"]

    @on(OptionList.OptionSelected)
    def _next_field(self) -> None:
        self.focus_next()

    @on(Input.Submitted)
    def _to_button(self) -> None:
        self.query_one("#submit").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(self.submission if event.button.id == "submit" else None)

    def action_start(self) -> None:
        if self.submission is not None:
            self.dismiss(self.submission)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _choose(self, field: str, name: str) -> None:
        choices = self.query_one(f"#{field}", OptionList)
        names = [option.id for option in choices.options]
        choices.highlighted = None if not names else names.index(name) if name in names else 0

    def _chosen(self, field: str) -> str:
        choices = self.query_one(f"#{field}", OptionList)
        if choices.highlighted is None:
            return ""
        return choices.get_option_at_index(choices.highlighted).id or ""


def _titled(choices: OptionList, title: str) -> OptionList:
    choices.border_title = title
    return choices


def _line(name: str, told: str) -> Text:
    return Text.assemble(clean(name), (f"  {clean(told)}", "dim"))
