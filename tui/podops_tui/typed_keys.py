"""Escape and a key that follows at once are two keys.

A terminal sends alt and a key as escape and that key, and a slow line, or tmux, brings both of them at once; so Textual
makes one key of them, which nothing here is bound to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import events
from textual._xterm_parser import XTermParser

_ESCAPE = "\x1b"

#: With these begins what terminals send: keys with names, and answers to questions.
_BEGINS = frozenset("[OP]_")

#: Other keys once escape stands before them: shift+tab, and one that removes a word.
_OTHER_KEYS = frozenset("\t\x7f")

#: Where one types these go by words.
_BY_WORDS = frozenset("bf")


class TypedKeys(XTermParser):
    def __init__(self, in_field: Callable[[], bool], debug: bool = False) -> None:
        self._in_field = in_field
        super().__init__(debug)

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if len(sequence) == 2 and sequence[0] == _ESCAPE and self._is_key(sequence[1]):
            yield events.Key("escape", _ESCAPE)
            sequence = sequence[1]
        yield from super()._sequence_to_key_events(sequence, alt)

    def _is_key(self, character: str) -> bool:
        if character in _BEGINS or character in _OTHER_KEYS:
            return False
        return character not in _BY_WORDS or not self._in_field()
