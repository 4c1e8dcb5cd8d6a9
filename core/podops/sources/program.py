"""Running a provider's own command: words, no shell, no terminal, a bounded time and a bounded output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from podops.errors import SourceError

#: More than this no command may print, bytes.
MAX_OUTPUT = 8 * 1024 * 1024

_CHUNK = 64 * 1024

#: How long a program that was told to end may take, seconds.
_END_S = 2.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a program printed until it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last line that says something, of its errors first; for a person."""
        lines = [line.strip() for text in (self.stdout, self.stderr) for line in text.splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""


async def run_program(words: Sequence[str], timeout_s: float | None, tell: Callable[[str], None] | None = None) -> Done:
    """Run `words` to their end; `tell` is called with each line of standard error as it comes.

    Raises `SourceError` when it cannot be started, takes longer than `timeout_s`, or prints too much.
    """
    name = words[0]
    program = _expanded(name)
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *words[1:],
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SourceError(f"{name} is not installed here", f"install it, or correct the command {name!r}") from None
    except OSError as error:
        raise SourceError(f"{name} cannot be started: {error.strerror}", "correct the command") from error
    try:
        async with asyncio.timeout(timeout_s):
            return await _to_its_end(process, name, tell)
    except TimeoutError:
        told = f"{name} did not end within {timeout_s:g} s"
        raise SourceError(told, "raise its `timeout`, or try it by hand") from None
    finally:
        await _ended(process)


def _expanded(program: str) -> str:
    return str(Path(program).expanduser()) if program.startswith("~") else program


async def _to_its_end(process: asyncio.subprocess.Process, name: str, tell: Callable[[str], None] | None) -> Done:
    assert process.stdout is not None and process.stderr is not None
    taken = [
        asyncio.ensure_future(_all(process.stdout, name)),
        asyncio.ensure_future(_told(process.stderr, name, tell)),
    ]
    try:
        stdout, stderr = await asyncio.gather(*taken)
        return Done(await process.wait(), stdout, stderr)
    finally:
        for task in taken:
            task.cancel()


async def _all(stream: asyncio.StreamReader, name: str, tell: Callable[[bytes], None] | None = None) -> str:
    data = bytearray()
    while piece := await stream.read(_CHUNK):
        data += piece
        if tell is not None:
            tell(piece)
        if len(data) > MAX_OUTPUT:
            raise SourceError(f"{name} prints over {MAX_OUTPUT >> 20} MiB", "let it print less")
    return data.decode("utf-8", "replace")


async def _told(stream: asyncio.StreamReader, name: str, tell: Callable[[str], None] | None) -> str:
    rest = b""

    def lines(piece: bytes) -> None:
        nonlocal rest
        *whole, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            if tell is not None and line.strip():
                tell(line.decode("utf-8", "replace").strip())

    text = await _all(stream, name, lines)
    lines(b"\n")
    return text


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the program and everything it started, when it has not ended; what it still says is dropped."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await asyncio.gather(process.wait(), _drained(process.stdout), _drained(process.stderr))


async def _drained(stream: asyncio.StreamReader | None) -> None:
    while stream is not None and await stream.read(_CHUNK):
        pass
