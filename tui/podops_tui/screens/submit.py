"""Choose a preset and a pod, type overrides, see exactly what will run, start it."""

from __future__ import annotations

import shlex
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from podops.config.model import ProjectConfig
from podops.errors import PodopsError
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot
from podops.plan import SubmitPlan, plan_submit
from podops_tui.ansi import clean


class SubmitScreen(ModalScreen[SubmitPlan | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "cancel", "Cancel"),
        Binding("ctrl+s", "start", "Submit", priority=True),
    ]
    CSS = """
    SubmitScreen { align: center middle; }
    SubmitScreen #box { width: 94%; max-width: 120; height: 94%; max-height: 34; border: round $accent;
        background: $surface; padding: 0 1; }
    SubmitScreen #choices { height: 1fr; min-height: 4; }
    SubmitScreen OptionList { width: 1fr; height: 1fr; border: round $surface-lighten-2; }
    SubmitScreen OptionList:focus { border: round $accent; }
    SubmitScreen #plan-box { height: 1fr; min-height: 4; border: round $surface-lighten-2; }
    SubmitScreen #plan { height: auto; }
    SubmitScreen #buttons { height: 1; }
    SubmitScreen Button { margin-right: 2; }
    SubmitScreen Input { margin: 0 1; }
    """

    def __init__(self, config: ProjectConfig, snapshot: FleetSnapshot) -> None:
        super().__init__()
        self._config = config
        self._snapshot = snapshot
        self.plan: SubmitPlan | None = None

    def compose(self) -> ComposeResult:
        box = Vertical(id="box")
        box.border_title = "Submit a run"
        with box:
            with Horizontal(id="choices"):
                yield _titled(OptionList(*self._presets(), id="preset"), "Preset")
                yield _titled(OptionList(*self._pods(), id="pod"), "Pod")
            yield Input(id="overrides", placeholder="overrides: key=value key=value", compact=True)
            plan = VerticalScroll(Static(id="plan"), id="plan-box", can_focus=False)
            plan.border_title = "Will run"
            yield plan
            with Horizontal(id="buttons"):
                yield Button("Submit (ctrl+s)", id="submit", variant="success", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def on_mount(self) -> None:
        for name in ("preset", "pod"):
            choices = self.query_one(f"#{name}", OptionList)
            choices.highlighted = 0 if choices.option_count else None
        self.query_one("#preset").focus()
        self._check()

    def _presets(self) -> list[Option]:
        presets = self._config.presets.values()
        return [Option(Text.assemble(p.name, (f"  {p.description or p.kind}", "dim")), id=p.name) for p in presets]

    def _pods(self) -> list[Option]:
        return [
            Option(Text.assemble(name, (f"  {_room(self._snapshot.pods.get(name))}", "dim")), id=name)
            for name in self._config.pods
        ]

    @on(OptionList.OptionHighlighted)
    @on(Input.Changed)
    def _check(self) -> None:
        self.plan = None
        try:
            words = shlex.split(self.query_one("#overrides", Input).value)
            self.plan = plan_submit(self._config, self._chosen("preset"), self._chosen("pod"), overrides=words)
            shown = plan_text(self.plan)
        except PodopsError as error:
            shown = Text.assemble((clean(error.message), "red"), "\n", (clean(error.hint), "dim"))
        except ValueError as error:
            shown = Text(f"overrides: {error}", "red")
        self.query_one("#plan", Static).update(shown)
        self.query_one("#submit", Button).disabled = self.plan is None

    @on(OptionList.OptionSelected)
    def _next_field(self) -> None:
        self.focus_next()

    @on(Input.Submitted)
    def _to_button(self) -> None:
        self.query_one("#submit").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(self.plan if event.button.id == "submit" else None)

    def action_start(self) -> None:
        if self.plan is not None:
            self.dismiss(self.plan)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _chosen(self, name: str) -> str:
        choices = self.query_one(f"#{name}", OptionList)
        if choices.highlighted is None:
            return ""
        return choices.get_option_at_index(choices.highlighted).id or ""


def plan_text(plan: SubmitPlan) -> Text:
    """The exact command, directory and session of `plan`."""
    text = Text.assemble((clean(plan.command) + "\n", "bold"))
    rows = {"run": plan.run_id, "directory": plan.run_dir, "workdir": plan.workdir, "session": plan.session}
    for name, value in rows.items():
        if value:
            text.append(f"{name:<10}", "dim").append(clean(value) + "\n")
    for warning in plan.warnings:
        text.append(f"! {clean(warning)}\n", "yellow")
    return text


def _titled(choices: OptionList, title: str) -> OptionList:
    choices.border_title = title
    return choices


def _room(pod: PodSnapshot | None) -> str:
    if pod is None or pod.state != "live":
        return "not live" if pod is None else pod.state
    if not pod.gpus.gpus:
        return "no GPU"
    free = sum(gpu.is_free() for gpu in pod.gpus.gpus)
    return f"{free} of {len(pod.gpus.gpus)} GPUs free" + (" (simulated)" if pod.gpus.simulated else "")
