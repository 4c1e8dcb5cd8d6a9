"""The app of a demo, whose runs end when it is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType

from podops_tui.actions import ACTIONS, Action, bindings
from podops_tui.app import OpsApp

_AFTER = "the demo ends its runs"
_TABLE = tuple(replace(one, description=f"Leave; {_AFTER}") if one.id == "quit" else one for one in ACTIONS)


class DemoApp(OpsApp):
    BINDINGS: ClassVar[list[BindingType]] = bindings(_TABLE)
    TABLE: ClassVar[Sequence[Action]] = _TABLE
    AFTER: ClassVar[str] = _AFTER
