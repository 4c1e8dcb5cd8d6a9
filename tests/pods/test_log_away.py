"""A log that is followed while the directory of its run goes away: waited for while the run lives, never in silence."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from podops.cli.run_tail import _print, _Text
from podops.errors import UnreachableError
from podops.fleet.snapshot import LogChunk
from tests.pods.conftest import MakeProject, Ops, StartOps
from tests.pods.loopback import link_processes, wait_for

_GONE = "its directory is gone"


@dataclass(frozen=True)
class Away:
    """A run r1 on a local pod that prints until `go` is there, and then `the end`."""

    home: Path
    go: Path

    @property
    def root(self) -> Path:
        return self.home / "runs"

    @property
    def run(self) -> Path:
        return self.root / "r1"

    def is_watched(self) -> bool:
        beat = self.run / "heartbeat.txt"
        return beat.exists() and " running " in beat.read_text()


@pytest.fixture
def away(ops: Ops, project: MakeProject, world: Path, client_home: Path) -> Iterator[Away]:
    pod = Away(client_home, world / "go")
    line = f"n=0; until [ -e {pod.go} ]; do n=$((n+1)); echo tick $n; sleep 0.05; done; echo the end; exit 3"
    project("a100", presets={"ticks": {"kind": "command", "command": line}})
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1").returncode == 0
    wait_for(pod.is_watched, "its supervisor to watch it")
    yield pod
    pod.go.touch()


@pytest.mark.parametrize("moved", ["run", "root"])
def test_a_log_goes_on_at_its_next_byte_when_the_directory_of_its_run_comes_back(
    start_ops: StartOps, away: Away, world: Path, moved: str
) -> None:
    tail = start_ops("run", "tail", "-f", "-n", "100000", "r1")
    seen = tail.read_line()
    place: Path = getattr(away, moved)
    place.rename(world / "elsewhere")
    wait_for(lambda: _GONE in tail.stderr, "a word of its directory")
    log = next((world / "elsewhere").rglob("stdout.log"))
    size = log.stat().st_size
    wait_for(lambda: log.stat().st_size > size + 100, "the run to go on")
    assert tail.process.poll() is None
    (world / "elsewhere").rename(place)
    wait_for(lambda: "can be read again" in tail.stderr, "a word that it is back")
    away.go.touch()
    everything = seen + tail.rest()
    assert everything == (away.run / "stdout.log").read_bytes() and everything.endswith(b"the end\n")
    assert (tail.process.returncode, tail.stderr.count(_GONE)) == (0, 1)


def test_a_log_goes_on_over_a_lost_link_while_the_directory_of_its_run_is_away(
    start_ops: StartOps, away: Away, world: Path
) -> None:
    tail = start_ops("run", "tail", "-f", "-n", "100000", "r1")
    seen = tail.read_line()
    away.run.rename(world / "elsewhere")
    wait_for(lambda: _GONE in tail.stderr, "a word of its directory")
    before = link_processes(away.home)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: bool(set(link_processes(away.home)) - set(before)), "another link")
    wait_for(lambda: tail.stderr.count(_GONE) == 2, "a word of its directory by the new link")
    (world / "elsewhere").rename(away.run)
    away.go.touch()
    assert seen + tail.rest() == (away.run / "stdout.log").read_bytes()
    assert tail.process.returncode == 0, tail.stderr


def _removed(away: Away, _world: Path) -> None:
    while away.run.exists():  # a heartbeat may be written meanwhile
        shutil.rmtree(away.run, ignore_errors=True)


def _moved(away: Away, world: Path) -> None:
    away.run.rename(world / "elsewhere")


@pytest.mark.parametrize(
    ("go_away", "why"),
    [(_removed, "nothing works on it here any more"), (_moved, "its process has ended with exit code 3")],
)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_following_ends_with_4_and_the_reason_once_a_run_without_its_directory_has_ended(
    start_ops: StartOps,
    away: Away,
    world: Path,
    go_away: Callable[[Away, Path], None],
    why: str,
    form: tuple[str, ...],
) -> None:
    tail = start_ops("run", "tail", "-f", "r1", *form)
    tail.read_line()
    go_away(away, world)
    wait_for(lambda: _GONE in tail.stderr, "a word of its directory")
    assert tail.process.poll() is None
    away.go.touch()
    rest = tail.rest()
    assert tail.process.returncode == 4
    if form:
        *pieces, last = map(json.loads, rest.splitlines())
        assert all(piece["eof"] is False and "tick" in piece["text"] for piece in pieces)
        assert last["ok"] is False and _GONE in last["error"]["message"] and why in last["error"]["message"]
    else:
        assert f"error: run r1: {_GONE}" in tail.stderr and why in tail.stderr.splitlines()[-2]


def test_a_run_that_has_ended_while_its_directory_is_away_is_listed_with_that_and_recorded_when_it_is_back(
    ops: Ops, away: Away, world: Path
) -> None:
    away.run.rename(world / "elsewhere")
    away.go.touch()

    def problems() -> list[str]:
        (run,) = ops("run", "list", "--json").json["runs"]
        return list(run["problems"])

    wait_for(lambda: any("its process has ended with exit code 3" in each for each in problems()), "its end")
    (world / "elsewhere").rename(away.run)
    ops("run", "wait", "r1")
    assert (ops("run", "status", "r1", "--json").json["exit_code"], problems()) == (3, [])


async def test_a_command_that_does_not_follow_waits_for_no_directory() -> None:
    class Chunks:
        size = 100

        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield LogChunk(0, b"", trouble=_GONE)
            pytest.fail("it waits for more")

    with pytest.raises(UnreachableError, match=f"run r1: {_GONE}"):
        await _print(Chunks(), _Text(), None, 100, "r1")  # type: ignore[arg-type]
