"""Running a provider's own command: words, no shell, no terminal, a bounded time and a bounded output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podops.child_programs import EndsWithUs
from podops.errors import SourceError
from podops.sources.said import Said

#: How long a program that was told to end may take, seconds: one that only asks loses nothing.
_ENDS_S, _ENDS_ASKING_S = 2.0, 0.25

#: What a program has others say for it may come so much later than its end, seconds.
_LATE_S = 0.25


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


async def run_program(
    words: Sequence[str],
    timeout_s: float | None,
    tell: Callable[[str], None] | None = None,
    *,
    acts: bool = False,
) -> Done:
    """Run `words` to their end; `tell` is called with each line of standard error as it comes.

    `acts`: it changes something at its provider. Then it has more time when it is told to end, and what it leaves
    running in the background lives on. What one that only asks leaves with its output open is ended: there would be
    one more of them after each question. Nobody waits for what is left, and its output goes nowhere.

    Raises `SourceError` when it cannot be started, takes longer than `timeout_s`, or prints too much.
    """
    patience_s, left = _ENDS_S if acts else _ENDS_ASKING_S, True
    with Said(words[0]) as stdout, Said(words[0], tell) as stderr, EndsWithUs(patience_s) as child:
        process = await _started(words, stdout, stderr)
        child.started(process.pid)
        ended = asyncio.ensure_future(process.wait())
        whole: set[asyncio.Future[Any]] = {ended, stdout.over, stderr.over}
        try:
            async with asyncio.timeout(timeout_s):
                await _until(ended, whole)
            left = not acts  # also where this is given up while it is looked
            left = await _goes_on(whole) and left
            return Done(ended.result(), stdout.text(), stderr.text())
        except TimeoutError:
            told = f"{words[0]} did not end within {timeout_s:g} s"
            raise SourceError(told, "raise its `timeout`, or try it by hand") from None
        finally:
            if left:
                await _end(process, whole, patience_s)
            ended.cancel()


async def _started(words: Sequence[str], stdout: Said, stderr: Said) -> asyncio.subprocess.Process:
    name = words[0]
    try:
        return await asyncio.create_subprocess_exec(
            _expanded(name),
            *words[1:],
            stdin=DEVNULL,
            stdout=stdout.far,
            stderr=stderr.far,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SourceError(f"{name} is not installed here", f"install it, or correct the command {name!r}") from None
    except OSError as error:
        raise SourceError(f"{name} cannot be started: {error.strerror}", "correct the command") from error
    finally:
        stdout.give()
        stderr.give()


def _expanded(program: str) -> str:
    return str(Path(program).expanduser()) if program.startswith("~") else program


async def _until(ended: asyncio.Future[int], whole: Collection[asyncio.Future[Any]]) -> None:
    """Return once it has ended; raise what goes wrong before."""
    left = set(whole)
    while not ended.done():
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()


async def _goes_on(whole: Collection[asyncio.Future[Any]]) -> bool:
    """Whether somebody still has an output of a program that has ended; soon done is as good as done."""
    late = [one for one in whole if not one.done()]
    return bool(late and (await asyncio.wait(late, timeout=_LATE_S))[1])


async def _end(process: asyncio.subprocess.Process, whole: Collection[asyncio.Future[Any]], patience_s: float) -> None:
    """End the program and what is in its process group, by force where it has not ended soon after it was told to."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        _, left = await asyncio.wait(whole, timeout=patience_s)
        if left:
            os.killpg(process.pid, signal.SIGKILL)
            async with asyncio.timeout(_ENDS_S):
                await process.wait()
    except (ProcessLookupError, TimeoutError):
        pass  # whoever is left is in another group, or cannot be ended
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
