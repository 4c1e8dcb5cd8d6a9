"""Keys are taken one after the other, however fast they come.

Textual sends each key to what has the focus, which sends it back for the app to act on; several at once would all be
sent before the first has had its effect. Of `/xyz` from a slow line, `x` and `y` would end a run instead of filtering.
"""

from __future__ import annotations

import asyncio
from collections import deque

from textual import events, on
from textual.app import App
from textual.message import Message
from textual.widget import Widget

#: A key whose way back is lost, because what had the focus is gone, holds up the next ones so long, seconds; one that
#: takes its time on a busy machine, so long at most.
_LOST_S, _LONGEST_S = 0.5, 3.0


class _Passed(Message):
    """Follows a key to where it was sent, and up from there."""


class KeysInTurn(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self._keys_behind: deque[events.Key] = deque()
        self._key_under_way: _Passed | None = None

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._key_under_way is not None:
            self._keys_behind.append(event)
        else:
            await self._send(event)

    async def _send(self, key: events.Key) -> None:
        passed = self._key_under_way = _Passed()
        target = self.focused or self.screen
        await super().on_event(key)
        if target.post_message(passed):
            begun = asyncio.get_running_loop().time()
            asyncio.get_running_loop().call_later(_LOST_S, self._look_for, passed, target, begun)
        else:
            self._let_next(passed)

    def _look_for(self, passed: _Passed, target: Widget, begun: float) -> None:
        loop = asyncio.get_running_loop()
        if passed is self._key_under_way and target.is_attached and loop.time() - begun < _LONGEST_S:
            loop.call_later(_LOST_S, self._look_for, passed, target, begun)
        else:
            self._let_next(passed)

    @on(_Passed)
    def _let_next(self, passed: _Passed) -> None:
        # Behind the change of focus that the key has led to.
        self.call_later(self._next, passed)

    async def _next(self, passed: _Passed) -> None:
        if passed is self._key_under_way:
            self._key_under_way = None
            if self._keys_behind:
                await self._send(self._keys_behind.popleft())
