"""The standard streams as they were given to us: closed, full, gone, of another alphabet."""

from __future__ import annotations

import io
import os
import sys
from typing import Literal, TextIO

from podops.errors import PodopsError, UsageError


class OutputError(PodopsError):
    """What was asked for could not be printed."""

    code = "output"


def bear_any_streams() -> None:
    """Make every standard stream one that can be used: a closed one is nothing to read, and printing into nothing.

    A character that the terminal's alphabet does not have is printed as `?`.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Whatever were opened next would get this number, and be taken for the stream.
            _to_nothing(number)
    sys.stdin = _or_nothing(sys.stdin, "r")
    sys.stdout = _or_nothing(sys.stdout, "w")
    sys.stderr = _or_nothing(sys.stderr, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def need_terminal(instead: str, what: str = "the app") -> None:
    """Raise `UsageError`, with what to do `instead`, where there is no terminal for `what`."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"{what} needs a terminal, and there is none here", instead)


def drop_stdout() -> None:
    """Print into nothing from now on: nobody reads it, and Python would complain when it flushes at exit."""
    _to_nothing(sys.stdout.fileno())


def drop_stderr() -> None:
    """Likewise what is meant for people."""
    _to_nothing(sys.stderr.fileno())


def unwritable(error: OSError) -> OutputError:
    """What to tell of a standard output that took no more; it is dropped."""
    drop_stdout()
    why = error.strerror or str(error)
    return OutputError(
        f"standard output cannot be written: {why}", "what was asked for is done, but not all of it told"
    )


def _or_nothing(stream: TextIO | None, mode: Literal["r", "w"]) -> TextIO:
    """Python leaves out a stream that was closed at its start, whatever the types say."""
    return open(os.devnull, mode, encoding="utf-8") if stream is None else stream


def _to_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != number:
        os.dup2(nothing, number)
        os.close(nothing)
    else:
        os.set_inheritable(number, True)
