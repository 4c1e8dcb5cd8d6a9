"""Textual's driver on a terminal that may go away while the app writes to it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import IO, Any

from textual.app import ScreenStackError
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.widgets import Input

from podops_tui.typed_keys import TypedKeys


class TerminalOutput:
    """What is written once the terminal is gone goes nowhere; `gone` is called then, once, in the thread that writes.

    Textual's writing thread would end with the error, and the app wait for ever to hand it the next piece.
    """

    def __init__(self, terminal: IO[str], gone: Callable[[], None]) -> None:
        self._terminal = terminal
        self._gone = gone
        self._is_gone = False

    def write(self, text: str) -> int:
        self._do(lambda: self._terminal.write(text))
        return len(text)

    def flush(self) -> None:
        self._do(self._terminal.flush)

    def fileno(self) -> int:
        return self._terminal.fileno()

    def isatty(self) -> bool:
        return self._terminal.isatty()

    def _do(self, work: Callable[[], object]) -> None:
        if self._is_gone:
            return
        try:
            work()
        except OSError:
            self._is_gone = True
            self._let_go()
            self._gone()

    def _let_go(self) -> None:
        # What its buffer still holds is written once more when Python ends, which would be told as a failure.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._terminal.fileno())
        os.close(nowhere)


class TerminalDriver(LinuxDriver):
    """Ends the app as SIGHUP does when its terminal takes or gives nothing any more, told by a signal or not."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Somebody's `resize` has exported them: they would hold the app to the size the terminal had then.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
        # Textual draws on standard error, which somebody may have sent to a file to read it later.
        given: IO[str] | None = self._file
        drawn_on = given if given is not None and given.isatty() else sys.__stdout__
        assert drawn_on is not None, "the app is not started without a terminal"
        self._file: Any = TerminalOutput(drawn_on, self._gone)

    def run_input_thread(self) -> None:
        # Textual makes its own there, and takes no other.
        vars(linux_driver)["XTermParser"] = partial(TypedKeys, self._in_field)
        try:
            super().run_input_thread()
        except OSError:
            self._gone()

    def _in_field(self) -> bool:
        try:
            return isinstance(self._app.focused, Input)
        except ScreenStackError:  # the app begins or ends
            return False

    def look(self) -> None:
        """Notice a terminal that is gone also while there is nothing to write: reading from it only finds nothing."""
        poll = select.poll()
        poll.register(self.fileno, 0)
        if any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0)):
            self._gone()

    def _gone(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._app.exit, None, 128 + signal.SIGHUP)
