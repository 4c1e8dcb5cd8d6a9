"""What is taken of a provider's own command, and what is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.pods.loopback import wait_for

from podops.errors import SourceError
from podops.sources.program import run_program

#: Far longer than anything here takes, so that waiting for it is a failure, seconds.
LONG_S = 60.0

Write = Callable[[str], list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write a program; the processes whose ids it puts into `left` do not survive the test."""

    def script(body: str) -> list[str]:
        program = tmp_path / "cloud"
        program.write_text(f"#!/bin/sh\ncd '{tmp_path}'\n{body}\n")
        program.chmod(0o755)
        return [str(program)]

    yield script
    for word in (tmp_path / "left").read_text().split() if (tmp_path / "left").exists() else ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(word), signal.SIGKILL)


def alive(pid: Path) -> bool:
    """Whether that process works; one that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{int(pid.read_text())}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("acts", [False, True])
async def test_what_a_command_said_counts_when_it_has_ended_whoever_still_has_its_output(
    write: Write, acts: bool
) -> None:
    words = write("sleep 600 & echo $! > left\nprintf 'half a' >&2\necho '[]'")
    told: list[str] = []
    done = await run_program(words, LONG_S, told.append, acts=acts)
    assert (done.status, done.stdout, done.stderr, told) == (0, "[]\n", "half a", ["half a"])


async def test_all_of_a_long_answer_is_read_where_somebody_still_has_the_output(write: Write) -> None:
    long = f"{sys.executable} -c 'print(\"x\" * (1 << 20))'"
    done = await run_program(write(f"sleep 600 & echo $! > left\n{long}"), LONG_S)
    assert len(done.stdout) == (1 << 20) + 1


async def test_what_others_say_for_a_command_a_moment_after_its_end_counts(write: Write) -> None:
    done = await run_program(write("{ sleep 0.01; echo '[]'; } &"), LONG_S)
    assert done.stdout == "[]\n"


async def test_what_a_question_left_with_its_output_open_is_ended(write: Write, tmp_path: Path) -> None:
    await run_program(write("trap '' TERM; sleep 600 & echo $! > left"), LONG_S)
    await asyncio.to_thread(wait_for, lambda: not alive(tmp_path / "left"), "the end of what was left")


async def test_what_making_a_pod_left_in_the_background_lives_on(write: Write, tmp_path: Path) -> None:
    await run_program(write("sleep 600 & echo $! > left"), LONG_S, acts=True)
    assert alive(tmp_path / "left")


async def test_a_question_that_is_given_up_twice_leaves_no_process(write: Write, tmp_path: Path) -> None:
    asking = asyncio.create_task(run_program(write("trap '' TERM; echo $$ > left; while :; do sleep 0.1; done"), None))
    await asyncio.to_thread(wait_for, lambda: (tmp_path / "left").exists() and alive(tmp_path / "left"), "the program")
    asking.cancel()
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.to_thread(wait_for, lambda: not alive(tmp_path / "left"), "its end")


async def test_a_question_that_ignores_its_end_holds_nobody_up_as_long_as_the_making_of_a_pod(write: Write) -> None:
    async def took(acts: bool) -> float:
        began = time.monotonic()
        with pytest.raises(SourceError, match="did not end"):
            await run_program(write("trap '' TERM; while :; do sleep 0.1; done"), 0.5, acts=acts)
        return time.monotonic() - began

    assert await took(acts=False) < await took(acts=True)


async def test_a_command_that_closed_its_output_is_still_waited_for(write: Write) -> None:
    done = await run_program(write("exec >&- 2>&-; sleep 0.1; exit 4"), LONG_S)
    assert (done.status, done.stdout) == (4, "")
    with pytest.raises(SourceError, match="did not end within 1 s"):
        await run_program(write("exec >&- 2>&-; exec sleep 600"), 1.0)
