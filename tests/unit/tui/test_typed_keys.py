"""What a terminal sends, as keys."""

from __future__ import annotations

import pytest
from textual.events import Key

from podops_tui.typed_keys import TypedKeys


def keys(*pieces: str, in_field: bool = False) -> list[str]:
    parser = TypedKeys(lambda: in_field)
    return [event.key for piece in pieces for event in parser.feed(piece) if isinstance(event, Key)]


@pytest.mark.parametrize("key", [*"qxyjfbNG19é", "\r"])
def test_escape_and_a_key_that_follows_at_once_are_two_keys(key: str) -> None:
    alone = keys(key)
    assert keys(f"\x1b{key}") == keys("\x1b", key) == ["escape", *alone]
    assert keys(f"\x1b{key * 40}") == ["escape", *alone * 40]


def test_keys_that_terminals_send_as_several_characters_stay_one() -> None:
    assert keys("\x1b[A\x1bOP\x1b[", "B\x1b[1;5C\x1b\t") == ["up", "f1", "down", "ctrl+right", "shift+tab"]
    assert keys("\x1b\x1b[A") == ["escape", "up"]


def test_words_are_gone_by_where_one_types() -> None:
    assert keys("\x1bf\x1bb\x1b\x7f", in_field=True) == ["ctrl+right", "ctrl+left", "ctrl+w"]
