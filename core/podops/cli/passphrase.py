"""What a login wants of a person, on the terminal of a command: the passphrase of a key, a touch of a security key."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podops.cli.output import say, say_for_now
from podops.transport import locked_keys, security_keys

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet

#: How often it is looked whether somebody is wanted, seconds.
_LOOK_S = 0.2

#: Returns once no more has to be heard.
Enough = Callable[[], Coroutine[Any, Any, None]]


async def settled(fleet: Fleet, seconds: float, enough: Enough | None = None) -> None:
    """Wait until each pod is live or has failed, `seconds` at most; what a person takes does not count.

    It is over as soon as `enough` returns, but for a person who is being asked: what is half typed would go to a shell.
    """
    if sys.stdin.isatty() and sys.stderr.isatty():
        locked_keys.ask_with(_ask)
    if sys.stderr.isatty():
        security_keys.tell_with(say)
    found = asyncio.create_task(_forever() if enough is None else enough())
    try:
        while await _somebody_was_wanted(fleet, seconds, found):
            pass
        while (desk := locked_keys.desk()) is not None and desk.busy:
            await desk.free()
            await _somebody_was_wanted(fleet, seconds, found)
        if found.done():
            found.result()
    finally:
        found.cancel()


async def _forever() -> None:
    await asyncio.Event().wait()


async def _somebody_was_wanted(fleet: Fleet, seconds: float, found: asyncio.Task[None]) -> bool:
    """Wait as `settled`, without regard to persons; whether one was wanted meanwhile, and not every pod is settled.

    Whoever touched a key just before the end has given the pod no time yet.
    """
    waiting, wanted = asyncio.create_task(fleet.settled(seconds)), False
    try:
        while not (waiting.done() or found.done()):
            wanted = wanted or fleet.waits_for_a_person()
            await asyncio.wait([waiting, found], timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return wanted and not found.done() and bool(fleet.unsettled())


async def _ask(key: Path, again: bool) -> str | None:
    prompt = f"Passphrase for {key}: "
    say_for_now("")
    with open("/dev/tty", "r+b", buffering=0) as terminal:  # noqa: ASYNC230
        before = termios.tcgetattr(terminal)
        silent = [*before]
        silent[3] = int(before[3]) & ~termios.ECHO
        try:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
            terminal.write((("That did not open it. " if again else "") + prompt).encode())
            line = await _line(terminal.fileno())
            terminal.write(b"\n")
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    return line.decode("utf-8", "replace") or None


async def _line(descriptor: int) -> bytes:
    """One line from a terminal. Unlike a thread that reads, it can be given up: ctrl-c ends the command."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        data = os.read(descriptor, 4096)
        if not ready.done():
            ready.set_result(data.rstrip(b"\r\n"))

    loop.add_reader(descriptor, read)
    try:
        return await ready
    finally:
        loop.remove_reader(descriptor)
