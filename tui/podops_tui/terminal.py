"""Handing the terminal to another program for a while."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from textual.app import App

from podops.attach import NO_SESSION

#: What the program said must be readable before the app draws over it; of a session that is not there it says nothing.
_SCRIPT = (
    f'"$@"; code=$?; case $code in 0 | {NO_SESSION}) ;; '
    '*) printf "\\nexit code %s; press enter to go back " $code; read _ ;; esac; exit $code'
)


async def hand_over(app: App[None], argv: Sequence[str]) -> int:
    """Run `argv` on the terminal while the app stays off it, and return its exit code.

    The event loop goes on meanwhile, so links stay alive. Raises `SuspendNotSupported` without a terminal, `OSError`
    when there is no shell.
    """
    # Between raw modes of the two programs ctrl-c is a signal to the whole group; it must not end the app. A handler,
    # unlike SIG_IGN, does not carry over to the program.
    before = signal.getsignal(signal.SIGINT)
    with app.batch_update(), app.suspend():
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        try:
            process = await asyncio.create_subprocess_exec("sh", "-c", _SCRIPT, "ops-attach", *argv)
            code = await process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    app.refresh(layout=True)
    return code
