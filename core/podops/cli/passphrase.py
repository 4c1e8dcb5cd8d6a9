"""What a login wants of a person, on the terminal of a command: the passphrase of a key, a touch of a security key."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from podops.cli.output import say
from podops.transport import locked_keys, security_keys

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet

#: How often it is looked whether somebody is wanted, seconds.
_LOOK_S = 0.2


async def settled(fleet: Fleet, seconds: float) -> None:
    """Wait until each pod is live or has failed, `seconds` at most; what a person takes does not count."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        locked_keys.ask_with(_ask)
    if sys.stderr.isatty():
        security_keys.tell_with(say)
    while await _somebody_was_wanted(fleet, seconds):
        pass
    while (desk := locked_keys.desk()) is not None and desk.busy:
        await desk.free()
        await fleet.settled(seconds)


async def _somebody_was_wanted(fleet: Fleet, seconds: float) -> bool:
    """Wait as `settled`, without regard to persons; whether one was wanted meanwhile, and not every pod is settled.

    Whoever touched a key just before the end has given the pod no time yet.
    """
    waiting, wanted = asyncio.create_task(fleet.settled(seconds)), False
    try:
        while not waiting.done():
            wanted = wanted or fleet.waits_for_a_person()
            await asyncio.wait([waiting], timeout=_LOOK_S)
        await waiting
    finally:
        waiting.cancel()
    return wanted and not fleet.is_settled()


async def _ask(key: Path, again: bool) -> str | None:
    prompt = f"Passphrase for {key}: "
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
