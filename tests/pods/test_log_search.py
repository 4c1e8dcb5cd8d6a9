"""What a user can rely on when a run's log is searched on its pod."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest

from podops.errors import ProtocolError, UsageError
from podops.fleet.fleet import Fleet
from podops.fleet.log_search import LogQuery, found_in, search_steps
from podops_runners.frames import Frame
from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, StartOps
from tests.pods.fleet_config import end_by_hand, fleet_config, hand_made_run, shows
from tests.pods.loopback import SshPod, command_line, descendants, link_processes, wait_for

COMMAND = {"say": {"kind": "command", "command": "echo hello"}}


@pytest.fixture
def pod(ssh_pod: MakeSshPod, project: MakeProject) -> SshPod:
    pod = ssh_pod("a100")
    project(pod, presets=COMMAND)
    return pod


def log_of(pod: SshPod, data: bytes, run_id: str = "r1") -> Path:
    log = hand_made_run(pod.outputs_dir, run_id)
    log.write_bytes(data)
    end_by_hand(log)
    return log


def varied_log() -> bytes:
    """Some 3 MB: plain lines, lines longer than a block, bars drawn over, colours, bytes that are no UTF-8."""
    rows = []
    for number in range(30_000):
        rows.append(b"iter %d: loss %.4f" % (number, 3 - number / 1e4))
        if number % 997 == 0:
            rows += [b"\xff\xfe binary \0 loss nan %d" % number, b"\x1b[31mloss\x1b[0m nan in colour"]
        if number % 9973 == 0:
            rows += [
                b"x" * 700_000 + b" loss nan at its end",
                b"\r".join(b"%d%% loss nan" % part for part in range(99)),
            ]
    return b"\n".join(rows) + b"\nLOSS NAN without a newline"


def test_a_log_is_searched_as_grep_does_it(ops: Ops, pod: SshPod) -> None:
    data = varied_log()
    log_of(pod, data)
    lines = data.split(b"\n")
    shown = [re.sub(rb"\x1b\[\d*m", b"", line) for line in lines]
    hits = [number for number, line in enumerate(shown) if b"loss nan" in line]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    assert ops("run", "search", "r1", "loss nan", "-c").stdout == f"{len(hits)}\n"
    found = ops("run", "search", "r1", "loss nan", "--json").json_lines
    assert [match["offset"] for match in found[:-1]] == [starts[number] for number in hits]
    assert (found[-1]["matches"], found[-1]["log_bytes"], found[-1]["ok"]) == (len(hits), len(data), True)
    assert all(("base64" in match) == (b"\xff" in lines[hits[at]]) for at, match in enumerate(found[:-1]))
    numbered = ops("run", "search", "r1", "^iter 29[0-9]{3}: .*0000$", "-nb").stdout.splitlines()
    wanted = [number for number, line in enumerate(lines) if re.search(rb"^iter 29[0-9]{3}: .*0000$", line)]
    assert numbered == [f"{number + 1}:{starts[number]}:{lines[number].decode()}" for number in wanted]
    (last,) = ops("run", "search", "--run-id", "r1", "loss NAN", "-i", "-r", "-m1").stdout.splitlines()
    assert last == "LOSS NAN without a newline"
    (first,) = ops("run", "search", "r1", "loss [", "-F", "-c").stdout.splitlines()
    assert first == "0"


def test_the_exit_code_tells_found_from_not_found_from_trouble(ops: Ops, pod: SshPod) -> None:
    log_of(pod, b"hello\n")
    log_of(pod, b"", "empty")
    hand_made_run(pod.outputs_dir, "none").unlink()
    assert ops("run", "search", "r1", "hell").returncode == 0
    assert ops("run", "search", "r1", "heaven").returncode == 1
    assert ops("run", "search", "empty", "").returncode == 1
    assert ops("run", "search", "none", "x").returncode == 1
    broken = ops("run", "search", "r1", "hell(")
    assert broken.returncode == 2 and "'hell(' is not a regular expression" in broken.stderr
    assert ops("run", "search", "r1").returncode == 2
    assert ops("run", "search", "r1", "x", "-n", "-r").returncode == 2
    assert ops("run", "search", "r9", "x").returncode == 3
    unreadable = log_of(pod, b"x", "odd")
    unreadable.unlink()
    unreadable.mkdir()
    refused = ops("run", "search", "odd", "x")
    assert refused.returncode == 4 and "log cannot be read" in refused.stderr


def test_a_pod_that_does_not_answer_has_the_end_of_its_logs_searched_here(ops: Ops, pod: SshPod) -> None:
    log_of(pod, b"first\nloss nan\nlast\n")
    assert ops("run", "tail", "r1").returncode == 0
    pod.stop()
    told = ops("run", "search", "r1", "loss", "-b")
    assert (told.returncode, told.stdout) == (4, "6:loss nan\n")
    assert "this is what was known of its log" in told.stderr
    match, total = ops("run", "search", "r1", "loss", "--json").json_lines
    assert match["text"] == "loss nan" and total["source"] == "history" and total["as_of"]


def test_a_search_goes_over_a_shared_link(ops: Ops, start_ops: StartOps, pod: SshPod) -> None:
    log_of(pod, b"hello\n" * 5000)
    watch = start_ops("watch")
    watch.read_until(b"live")
    (link,) = link_processes(pod.home)
    assert ops("run", "search", "r1", "hello", "-c").stdout == "5000\n"
    assert ops("run", "search", "r1", "hello").stdout == "hello\n" * 5000
    assert ops("run", "search", "r1", "(").returncode == 2
    assert link_processes(pod.home) == [link]


async def test_an_expression_that_takes_for_ever_is_given_up_and_holds_up_nothing(pod: SshPod) -> None:
    log_of(pod, b"hello\n" + b"a" * 5000 + b"b\n")
    async with Fleet(fleet_config(pod)) as fleet:
        await shows(fleet, pod.name, lambda seen: "r1" in seen.runs and seen.sample is not None, "the run")
        searching = asyncio.create_task(all_of(fleet, pod, LogQuery("(a|a)+$")))
        await asyncio.sleep(0)
        for _ in range(3):
            sample = fleet.snapshot.pods[pod.name].sample
            await shows(fleet, pod.name, lambda seen, before=sample: seen.sample is not before, "a further sample")  # type: ignore[misc]
            assert (await fleet.read(pod.name, "r1", "stdout.log", length=5))[2] == b"hello"
        with pytest.raises(UsageError, match="of processor time for the lines from byte 0 on"):
            await asyncio.wait_for(searching, 60)
        assert [match.offset for match in await all_of(fleet, pod, LogQuery("b$"))] == [6]


async def test_an_expression_that_python_itself_cannot_stop_is_given_up_too(pod: SshPod) -> None:
    log_of(pod, b"ab" * 13_000_000 + b"\n")
    async with Fleet(fleet_config(pod)) as fleet:
        await shows(fleet, pod.name, lambda seen: "r1" in seen.runs, "the run")
        with pytest.raises(UsageError, match="takes more than 2 s of processor time"):
            await all_of(fleet, pod, LogQuery("[ab]*c"))
        with pytest.raises(UsageError, match=r"takes more than (1 GiB of memory|2 s)"):
            await all_of(fleet, pod, LogQuery("(a|b)*$"))
        assert [match.offset for match in await all_of(fleet, pod, LogQuery("b$"))] == [0]


async def all_of(fleet: Fleet, pod: SshPod, query: LogQuery) -> list[Any]:
    return [match async for step in fleet.search(pod.name, "r1", query) for match in step.matches]


async def test_a_search_goes_on_over_the_loss_of_its_link(pod: SshPod) -> None:
    data = b"".join(b"needle %d\n" % number for number in range(20_000))
    log_of(pod, data)
    async with Fleet(fleet_config(pod)) as fleet:
        await shows(fleet, pod.name, lambda seen: "r1" in seen.runs, "the run")
        found = []
        async for step in fleet.search(pod.name, "r1", LogQuery("needle")):
            found += [match.text for match in step.matches]
            if len(found) in (2000, 8000):
                assert pod.kill_sessions()
        assert b"".join(text + b"\n" for text in found) == data


async def test_whoever_asks_for_no_more_leaves_nothing_at_work(pod: SshPod) -> None:
    log = log_of(pod, b"")
    with log.open("r+b") as stream:
        for _ in range(40):
            stream.write(b"needle\n" + b"x\n" * 500_000)
    async with Fleet(fleet_config(pod)) as fleet:
        await shows(fleet, pod.name, lambda seen: "r1" in seen.runs, "the run")
        steps = fleet.search(pod.name, "r1", LogQuery("needle|(?!x)."))
        step = await anext(steps)
        assert step.matches and not step.done and 0 <= step.percent < 100
        (link,) = link_processes(pod.home)
        (worker,) = [pid for pid in descendants(link) if command_line(pid).endswith(" search")]
        await steps.aclose()

        def worked() -> float:
            fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        before = worked()
        await asyncio.sleep(1)
        assert worked() - before < 0.7
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), "the end of the search process")


def test_ctrl_c_ends_a_search(open_ops: OpenOps, pod: SshPod) -> None:
    log = log_of(pod, b"")
    with log.open("r+b") as stream:
        for _ in range(60):
            stream.write(b"abcdefgh\n" * 150_000)
    # Every line is tried alone: seconds of work.
    terminal = open_ops("run", "search", "r1", "(?!a)[xz]")
    terminal.wait_for(r"searching… \d+ %")
    terminal.press("\x03")
    assert terminal.ended() == 130
    wait_for(lambda: not link_processes(pod.home), "the end of the link")


async def test_a_pod_that_cannot_search_or_goes_in_circles_is_told_as_such() -> None:
    async def old(**_: Any) -> Frame:
        raise UsageError("unknown request 'search'")

    async def circling(**_: Any) -> Frame:
        return Frame({"matches": [], "next": {"start": 5, "end": 9}}, b"")

    with pytest.raises(ProtocolError, match="older than this command"):
        await anext(search_steps(old, LogQuery("x")))
    with pytest.raises(ProtocolError, match="circles"):
        async for _ in search_steps(circling, LogQuery("x")):
            pass


def test_what_is_here_is_searched_in_the_same_way() -> None:
    assert [match.offset for match in found_in(b"a\nb\nab", 100, LogQuery("b", backward=True))] == [104, 102]
    with pytest.raises(UsageError):
        found_in(b"", 0, LogQuery("("))
