"""The one table of actions: every key of the design is in it, and the page for users is made from it."""

from __future__ import annotations

from pathlib import Path

from podops_tui.actions import ACTIONS, available, key_table

DESIGN_KEYS = {"enter", "esc", "space", "1-9", *"/sxalmgfwnNyor:?qR"}
PAGE = Path(__file__).parents[3] / "docs/keys.md"


def test_every_key_of_the_design_does_something_and_none_does_two_things() -> None:
    shown = [action.shown for action in ACTIONS if action.keys]
    assert set(shown) >= DESIGN_KEYS
    keys = [key for action in ACTIONS for key in action.keys.split(",") if key]
    assert len(keys) == len(set(keys))


def test_the_page_of_keys_is_the_table() -> None:
    assert key_table() in PAGE.read_text(encoding="utf-8")


def test_what_changes_a_pod_does_not_exist_when_read_only() -> None:
    left = {action.id for action in available(read_only=True)}
    assert left.isdisjoint({"submit", "rerun", "kill", "attach"}) and {"copy", "find", "quit"} <= left
