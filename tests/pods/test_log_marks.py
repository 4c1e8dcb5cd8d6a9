"""Reading a log whose middle was freed, and a log of several attempts: by the link, and by `ops run tail`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podops.config.model import ProjectConfig
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import AttemptBegin, LogChunk, LogPiece
from tests.pods.conftest import MakeProject, Ops
from tests.pods.fleet_config import fleet_config, shows, submit_plan

POD, RUN = "near", "r1"

#: A line's text tells the byte it begins at, 16 bytes each.
LINES = "python3 -u -c 'for n in range({}, {}): print(f\"{{n * 16:015d}}\")'"

#: 4 MiB in two parts, with time between them to free what lies in the middle of the first, down to a limit of 1 MiB.
COUNT = 262_144
FLOOD = (
    LINES.format(0, 200_000)
    + "; until [ $(stat -c %b stdout.log) -le 2048 ]; do sleep 0.1; done; "
    + LINES.format(200_000, COUNT)
)
LIMITED = {"policies": {"max_log_bytes": 1024 * 1024, "on_max_log": "punch"}}

#: Three attempts that print one line each.
THRICE = 'echo "this is attempt $OPS_ATTEMPT"; exit 3'
RETRIED = {"policies": {"retries": {"max": 2, "on": ["nonzero_exit"], "backoff_s": 0.1}}}


@pytest.fixture
async def fleet(client_home: Path, tmux_socket: str) -> AsyncIterator[tuple[Fleet, ProjectConfig]]:
    config = fleet_config(POD, tmux_socket=tmux_socket)
    async with Fleet(config) as opened:
        await opened.settled(20)
        yield opened, config


async def ended(fleet: tuple[Fleet, ProjectConfig], command: str, **spec: object) -> Fleet:
    """The fleet once a run of `command` has ended in it."""
    opened, config = fleet
    plan = submit_plan(config, POD, RUN, command)
    plan.spec.update(spec)
    await opened.submit(plan)
    await shows(opened, POD, lambda pod: RUN in pod.runs and pod.runs[RUN].ended, "its end")
    return opened


async def chunks(fleet: Fleet, **start: int | tuple[int, int]) -> list[LogChunk]:
    found = []
    async with asyncio.timeout(60), fleet.follow(POD, RUN, lossless=True, **start) as stream:  # type: ignore[arg-type]
        async for chunk in stream:
            stream.ack(chunk.offset + len(chunk.data))
            found.append(chunk)
    return found


async def test_a_follower_is_told_of_freed_bytes_and_gets_every_other_byte_at_its_offset(
    fleet: tuple[Fleet, ProjectConfig],
) -> None:
    opened = await ended(fleet, FLOOD, **LIMITED)
    size = opened.snapshot.pods[POD].runs[RUN].log_bytes
    assert size == COUNT * 16
    found = await chunks(opened, offset=0)
    freed = sum(chunk.gap for chunk in found)
    assert freed > size // 2
    assert sum(len(chunk.data) for chunk in found) == size - freed
    assert not any(b"\0" in chunk.data for chunk in found) and not any(chunk.skipped for chunk in found)
    at = 0
    for chunk in found:
        assert chunk.offset == at + chunk.gap
        whole = -chunk.offset % 16
        if len(chunk.data) >= whole + 16:
            assert int(chunk.data[whole : whole + 15]) == chunk.offset + whole
        at = chunk.offset + len(chunk.data)
    assert at == size and found[-1].eof


async def test_a_log_is_read_back_to_its_beginning_over_what_was_freed(fleet: tuple[Fleet, ProjectConfig]) -> None:
    opened = await ended(fleet, FLOOD, **LIMITED)
    size = before = opened.snapshot.pods[POD].runs[RUN].log_bytes
    pieces: list[LogPiece] = []
    while before:
        pieces.append(await opened.read_log_before(POD, RUN, before, length=256 * 1024))
        piece = pieces[-1]
        assert piece.offset + len(piece.data) + piece.gap == before and b"\0" not in piece.data
        before = piece.offset
    assert sum(len(piece.data) for piece in pieces) + sum(piece.gap for piece in pieces) == size
    assert len([piece for piece in pieces if piece.gap]) == 1 and len(pieces) < 12


async def test_the_last_lines_are_counted_over_what_was_freed(fleet: tuple[Fleet, ProjectConfig]) -> None:
    opened = await ended(fleet, FLOOD, **LIMITED)
    size = opened.snapshot.pods[POD].runs[RUN].log_bytes
    end = next(chunk.offset for chunk in await chunks(opened, offset=0) if chunk.gap)
    behind = (size - end) // 16
    found = await chunks(opened, tail_lines=behind + 1000)
    start = end - sum(chunk.gap for chunk in found)
    assert end > start
    # A line that the gap begins or ends in counts as one.
    assert 998 * 16 <= start - found[0].offset <= 1001 * 16
    assert found[0].offset % 16 == 0


async def test_a_follower_is_told_where_each_attempt_begins_and_why(fleet: tuple[Fleet, ProjectConfig]) -> None:
    opened = await ended(fleet, THRICE, **RETRIED)
    found = await chunks(opened, offset=0)
    line = len("this is attempt 1\n")
    assert [(chunk.begin, chunk.data) for chunk in found if chunk.data] == [
        (None, b"this is attempt 1\n"),
        (AttemptBegin(line, 2, "nonzero_exit"), b"this is attempt 2\n"),
        (AttemptBegin(2 * line, 3, "nonzero_exit"), b"this is attempt 3\n"),
    ]
    assert found[-1].eof and found[-1].begin is None
    last = await opened.read_log_before(POD, RUN, 3 * line, length=1000)
    assert [begin.number for begin in last.begins] == [2, 3]
    second = await chunks(opened, tail_lines=1, within=(line, 2 * line))
    assert second[0].offset == line


PRESETS = {
    "flood": {
        "kind": "command",
        "command": FLOOD.replace("{", "{{").replace("}", "}}"),
        "max_log_size": "1MiB",
    },
    "again": {"kind": "command", "command": THRICE, "retries": {"max": 2, "on": ["nonzero_exit"], "backoff": "100ms"}},
}


def test_tail_shows_one_attempt_or_the_whole_log_with_what_is_to_be_told_on_standard_error(
    ops: Ops, project: MakeProject
) -> None:
    project("here", presets=PRESETS)
    ops("run", "submit", "--preset", "again", "--run-id", "a1")
    assert ops("run", "wait", "a1").returncode == 1
    whole = ops("run", "tail", "a1")
    assert whole.stdout == "".join(f"this is attempt {number}\n" for number in (1, 2, 3))
    assert "── attempt 2, after nonzero_exit ──" in whole.stderr
    assert re.findall(r"attempt \d", ops("run", "tail", "-f", "-n", "9", "a1").stderr) == ["attempt 2", "attempt 3"]
    for number in (1, 2, 3):
        shown = ops("run", "tail", "a1", "--attempt", str(number))
        assert (shown.stdout, shown.stderr) == (f"this is attempt {number}\n", "")
    missing = ops("run", "tail", "a1", "--attempt", "4")
    assert missing.returncode == 3 and "has no attempt 4" in missing.stderr
    status = ops("run", "status", "a1")
    assert re.search(
        r"^2 +failed +nonzero_exit +\S+ +exit status 3, its last line: this is attempt 2$", status.stdout, re.M
    )
    told = ops("run", "status", "a1", "--json").json["attempts"]
    assert [(one["attempt"], one["reason"], one["exit_code"]) for one in told] == [
        (n, "nonzero_exit", 3) for n in (1, 2, 3)
    ]


def test_tail_tells_of_freed_bytes_and_prints_no_zero_in_their_place(ops: Ops, project: MakeProject) -> None:
    project("here", presets=PRESETS)
    ops("run", "submit", "--preset", "flood", "--run-id", "f1")
    assert ops("run", "wait", "f1").returncode == 0
    whole = ops("run", "tail", "f1", "-n", "1000000")
    assert re.search(r"⋯ \d\.\d MiB freed here by max_log_size ⋯", whole.stderr)
    assert "\0" not in whole.stdout and len(whole.stdout) < 2_500_000
    assert whole.stdout.endswith(f"{(COUNT - 1) * 16:015d}\n")
    told = ops("run", "status", "f1", "--json").json["log"]
    assert (told["bytes"], told["freed_bytes"]) == (COUNT * 16, COUNT * 16 - len(whole.stdout))
    assert re.search(
        r"^log +\d\.\d MiB, \d\.\d MiB of it freed by max_log_size", ops("run", "status", "f1").stdout, re.M
    )
