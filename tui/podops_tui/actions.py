"""Everything a user can do, once: keys, footer, help, palette and docs/keys.md are all made from this table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Action:
    """`id` names the method `op_<id>` of the screen or the app; a mutating one is refused when read-only.

    `keys` are Textual's names, the first one is shown as `shown`.
    """

    id: str
    keys: str
    shown: str
    label: str
    description: str
    mutating: bool = False
    in_footer: bool = False


#: Panes of a screen are reached by their number.
PANE_KEYS = "123456789"

ACTIONS = (
    Action("open", "enter", "enter", "Open", "Open the selected run or pod on the whole screen", in_footer=True),
    Action("back", "escape", "esc", "Back", "Leave this screen; drop search, filter and marks"),
    Action("submit", "s", "s", "Submit", "Start a run from a preset", mutating=True, in_footer=True),
    Action("rerun", "r", "r", "Rerun", "Submit again, filled in as the selected run was", mutating=True),
    Action(
        "kill",
        "x",
        "x",
        "Kill",
        "End the chosen runs, or cancel those that wait; asks first",
        True,
        True,
    ),
    Action("hold", "h", "h", "Hold", "Keep the chosen runs in the queue until they are released", mutating=True),
    Action("release", "H,shift+h", "H", "Release", "Let held runs start when it is their turn", mutating=True),
    Action("sooner", "plus,equals_sign", "+", "Sooner", "Give waiting runs a priority higher by one", mutating=True),
    Action("later", "minus", "-", "Later", "Give waiting runs a priority lower by one", mutating=True),
    Action("move", "M,shift+m", "M", "Move", "Take waiting runs to another pod's queue", mutating=True),
    Action("mark", "space", "space", "Mark", "Mark the selected run, or take the mark back"),
    Action("attach", "a", "a", "Attach", "Open the run's tmux session in this terminal", True, True),
    Action("find", "slash", "/", "Find", "Show only runs that hold some words; in a log: search", in_footer=True),
    Action("next_match", "n", "n", "Next match", "Go to the next match in the log"),
    Action("previous_match", "N,shift+n", "N", "Previous match", "Go to the previous match in the log"),
    Action("log", "l", "l", "Log", "Go to the log"),
    Action("metrics", "m", "m", "Metrics", "Show the metrics of the selected run"),
    Action("gpu", "g", "g", "GPUs", "Go to the GPUs"),
    Action("follow", "f", "f", "Follow", "Keep the log at its end, or hold it still"),
    Action("wrap", "w", "w", "Wrap", "Wrap long log lines, or stop doing so"),
    Action("copy", "y", "y", "Copy", "Copy the selected text, else the name of the run or pod"),
    Action("sort", "o", "o", "Sort", "Order runs by the next column"),
    Action("retry", "R,shift+r", "R", "Retry", "Connect to the selected pod now; look at the project file"),
    Action("retry_all", "", "", "Retry all", "Connect now to every pod that is not live; look at the project file"),
    Action("pane", ",".join(PANE_KEYS), "1-9", "Pane", "Go to the pane with that number"),
    Action("commands", "colon", ":", "Commands", "Search everything that can be done (ctrl+p too)"),
    Action("help", "question_mark", "?", "Help", "Show every key", in_footer=True),
    Action("quit", "q", "q", "Quit", "Leave; runs go on", in_footer=True),
)

#: Keys that move, which lists and panes take themselves.
MOVES = (
    ("↑ ↓ j k", "Move; home, end, page up and page down too"),
    ("tab", "Go to the next pane, shift+tab to the one before"),
)


def available(read_only: bool, table: Sequence[Action] = ACTIONS) -> list[Action]:
    return [action for action in table if not (read_only and action.mutating)]


def bindings(table: Sequence[Action] = ACTIONS) -> list[BindingType]:
    """Key bindings of the whole table; what is not available is hidden by the app's `check_action`."""
    return [_binding(action, key) for action in table for key in action.keys.split(",") if key]


def _binding(action: Action, key: str) -> Binding:
    call = f"pane({int(key)})" if action.id == "pane" else f"op({action.id!r})"
    return Binding(
        key,
        call,
        action.label,
        show=action.in_footer and key == action.keys.split(",")[0],
        key_display=action.shown,
        tooltip=action.description,
    )


def key_table() -> str:
    """The table of docs/keys.md."""
    rows = ["| key | what it does |", "|---|---|"]
    rows += [f"| {_ticked(keys)} | {text} |" for keys, text in MOVES]
    rows += [f"| `{action.shown}` | {action.description} |" for action in ACTIONS if action.keys]
    return "\n".join(rows)


def _ticked(keys: str) -> str:
    return " ".join(f"`{key}`" for key in keys.split())
