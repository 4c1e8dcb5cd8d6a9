"""Everything a user can do, once: keys, footer, help and palette are all made from this table."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Action:
    """`id` names the method `op_<id>` of the screen or the app; a mutating one is refused when read-only."""

    id: str
    keys: str
    label: str
    description: str
    mutating: bool = False
    in_footer: bool = True


ACTIONS = (
    Action("open", "enter", "Open", "Open the selected run on the whole screen"),
    Action("submit", "s", "Submit", "Start a run from a preset", mutating=True),
    Action("kill", "x", "Kill", "End the selected run, after asking", mutating=True),
    Action("attach", "a", "Attach", "Open the run's tmux session in this terminal", mutating=True),
    Action("filter", "slash", "Filter", "Show only runs whose line holds a text"),
    Action("follow", "f", "Follow", "Keep the log at its end, or stop doing so", in_footer=False),
    Action("wrap", "w", "Wrap", "Wrap long log lines, or stop doing so", in_footer=False),
    Action("sort", "o", "Sort", "Order runs by the next column", in_footer=False),
    Action("retry", "r", "Retry", "Connect to the selected pod now", in_footer=False),
    Action("retry_all", "R,shift+r", "Retry all", "Connect to every pod that is not live now", in_footer=False),
    Action("pane_log", "1", "Log", "Show the log pane", in_footer=False),
    Action("pane_heartbeat", "2", "Heartbeat", "Show the heartbeat pane", in_footer=False),
    Action("pane_gpu", "3", "GPUs", "Show the GPU pane", in_footer=False),
    Action("back", "escape", "Back", "Leave this screen, or clear the filter", in_footer=False),
    Action("help", "question_mark", "Help", "Show every key"),
    Action("quit", "q", "Quit", "Leave; runs go on"),
)


def available(read_only: bool) -> list[Action]:
    return [action for action in ACTIONS if not (read_only and action.mutating)]


def bindings() -> list[BindingType]:
    """Key bindings of the whole table; what is not available is hidden by the app's `check_action`."""
    return [
        Binding(action.keys, f"op({action.id!r})", action.label, show=action.in_footer, tooltip=action.description)
        for action in ACTIONS
    ]


def key_names(action: Action) -> str:
    shown = {"slash": "/", "question_mark": "?", "escape": "esc"}
    key = action.keys.split(",")[0]
    return shown.get(key, key)
