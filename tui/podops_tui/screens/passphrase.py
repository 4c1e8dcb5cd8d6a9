"""The question for the passphrase of a key that a pod wants."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, Static

from podops_tui.ansi import clean
from podops_tui.screens.low import LowScreen


class PassphraseScreen(LowScreen[str | None]):
    """Asked once for each key. Nothing typed here is kept anywhere but in this process."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Without it")]
    CSS = """
    PassphraseScreen { align: center middle; }
    PassphraseScreen #box { width: 72; max-width: 96%; height: auto; border: round $accent; background: $surface;
        padding: 1 2; }
    PassphraseScreen.low #box { padding: 0 1; }
    PassphraseScreen Static, PassphraseScreen #asked { height: auto; }
    """

    def __init__(self, key: Path, again: bool) -> None:
        """`again`: the last answer did not open the key."""
        super().__init__()
        self._key = key
        self._again = again

    def compose(self) -> ComposeResult:
        box = Vertical(id="box")
        box.border_title = "Passphrase"
        with box:
            told = "That did not open it. " if self._again else ""
            asked = Static(Text(f"{told}Passphrase for {clean(str(self._key))}:"))
            yield VerticalScroll(asked, id="asked", can_focus=False)
            yield Input(password=True)
            yield Static(Text("enter opens the key for all pods, escape goes on without it", "dim"))

    def fit(self, width: int, lines: int, low: bool) -> None:
        self.query_one("#asked").styles.max_height = max(1, lines - (3 if low else 7))
        self.query_one(Input).compact = low

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value or None)
