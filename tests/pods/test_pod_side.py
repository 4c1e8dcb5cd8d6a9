"""The pod side as it is shipped: one file, run by a bare Python, spoken to over its pipes."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podops.link import pod_archive as module
from podops.link.pod_archive import pod_archive
from tests.pods.loopback import descendants, end_leftovers
from tests.pods.pod_side import PodSide, pythons


@pytest.fixture
def pyz(tmp_path: Path) -> Path:
    path = tmp_path / "podops.pyz"
    path.write_bytes(pod_archive()[0])
    return path


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[list[PodSide]]:
    started: list[PodSide] = []
    yield started
    for side in started:
        side.process.kill()
        side.process.communicate()
    end_leftovers(tmp_path)


def test_the_archive_is_the_same_bytes_for_the_same_sources() -> None:
    first = pod_archive()
    module._made.cache_clear()
    assert pod_archive() == first


@pytest.mark.parametrize("python", pythons())
def test_hello_samples_and_the_run_list_under_each_python(
    pyz: Path, tmp_path: Path, sides: list[PodSide], python: str
) -> None:
    side = PodSide(python, pyz)
    sides.append(side)
    answer = side.hello(tmp_path / "runs")
    assert answer["ok"] is True
    assert answer["host"]["cpu_count"] >= 1
    assert side.push("sample").header["host"]["memory_total_bytes"] > 0
    assert side.push("runs").header == {"push": "runs", "full": True, "changed": [], "gone": []}
    run = tmp_path / "runs/by-hand"
    run.mkdir(parents=True)
    (run / "stdout.log").write_text("x\n")
    assert side.push("runs", lambda header: bool(header["changed"])).header["changed"][0]["run_id"] == "by-hand"
    shutil.rmtree(run)
    assert side.push("runs", lambda header: bool(header["gone"])).header["gone"] == [["t", "by-hand"]]


@pytest.mark.parametrize("python", pythons())
def test_a_missing_outputs_root_is_told_unless_a_submit_would_make_it(
    pyz: Path, tmp_path: Path, sides: list[PodSide], python: str
) -> None:
    side = PodSide(python, pyz)
    sides.append(side)
    unmounted = "/podops-test-no-such-volume/runs"
    below_home = tmp_path / "new/runs"
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to("nothing")
    below = (unmounted, below_home, tmp_path / "file/runs", tmp_path / "link/runs")
    problems = [side.hello(Path(root))["projects"][0]["problem"] for root in below]
    assert unmounted in problems[0] and "not mounted" in problems[0]
    assert problems[1] is None
    for name, problem in zip(("file", "link"), problems[2:], strict=True):
        assert problem.endswith(f"cannot be made: {tmp_path / name} is not a directory")
    side.send(id=3, op="check", outputs_dir=unmounted, tmux=True)
    answer = side.wait_for(lambda frame: frame.header.get("id") == 3).header
    assert abs(answer["time"] - time.time()) < 60
    levels = {finding["subject"]: finding["level"] for finding in answer["findings"]}
    assert (levels["remote_outputs_dir"], levels["venv_python"]) == ("fail", "ok")
    assert not Path(unmounted).parent.exists() and not below_home.exists()


def test_it_ends_within_seconds_when_its_client_goes_or_falls_silent(
    pyz: Path, tmp_path: Path, sides: list[PodSide]
) -> None:
    gone, silent = PodSide(sys.executable, pyz), PodSide(sys.executable, pyz, "--dead-man", "1")
    sides += [gone, silent]
    for side in (gone, silent):
        side.hello(tmp_path / "runs")
    assert gone.process.stdin is not None
    gone.process.stdin.close()
    gone.process.stdin = None
    assert gone.process.wait(15) == 0
    assert silent.process.wait(15) == 0


def test_a_follower_gets_every_byte_or_is_told_what_it_missed(pyz: Path, tmp_path: Path, sides: list[PodSide]) -> None:
    run = tmp_path / "runs/r"
    run.mkdir(parents=True)
    log = run / "stdout.log"
    lines = b"".join(b"line %06d\n" % number for number in range(20_000))
    log.write_bytes(lines)
    (run / "summary.json").write_text('{"ok": true}')
    side = PodSide(sys.executable, pyz)
    sides.append(side)
    side.hello(tmp_path / "runs")
    start = {"offset": 0}
    side.send(id=2, op="follow", run_id="r", name="stdout.log", window=16384, lossless=True, **{"from": start})
    sub = side.wait_for(lambda frame: frame.header.get("id") == 2).header["sub"]
    received = b""
    while True:
        frame = side.push("log", lambda header: header["sub"] == sub)
        assert (frame.header["offset"], frame.header["skipped"]) == (len(received), 0)
        received += frame.payload
        side.send(op="ack", sub=sub, offset=len(received))
        if frame.header["eof"]:
            break
    assert received == lines
    side.send(id=3, op="follow", run_id="r", name="stdout.log", window=4096, lossless=False, **{"from": start})
    lossy = side.wait_for(lambda frame: frame.header.get("id") == 3).header["sub"]
    frame = side.push("log", lambda header: header["sub"] == lossy)
    assert frame.header["skipped"] == frame.header["offset"] > len(lines) - 3 * 4096
    assert frame.payload.startswith(b"line ")
    side.send(id=4, op="read", run_id="r", name="stdout.log", offset=12, length=24)
    assert side.wait_for(lambda frame: frame.header.get("id") == 4).payload == lines[12:36]


@pytest.mark.parametrize("run_id", ["../r", "", ".", "a/b"])
def test_a_request_cannot_leave_the_outputs_root(pyz: Path, tmp_path: Path, sides: list[PodSide], run_id: str) -> None:
    side = PodSide(sys.executable, pyz)
    sides.append(side)
    side.hello(tmp_path / "runs")
    for number, name in enumerate(("stdout.log", "../../etc/passwd"), start=5):
        side.send(id=number, op="read", run_id=run_id, name=name)
        answer = side.wait_for(lambda frame, number=number: frame.header.get("id") == number).header  # type: ignore[misc]
        assert (answer["ok"], answer["error"]["code"]) == (False, "usage")


def test_simulated_gpus_say_so(pyz: Path, tmp_path: Path, sides: list[PodSide]) -> None:
    side = PodSide(sys.executable, pyz)
    sides.append(side)
    side.hello(tmp_path / "runs", simulate_gpus=2)
    report = side.push("sample").header["gpus"]
    assert (report["source"], len(report["gpus"])) == ("simulated", 2)
    assert all(gpu["name"].startswith("Simulated") for gpu in report["gpus"])


def test_a_submit_cut_in_half_is_completed_when_it_is_asked_again(
    pyz: Path, tmp_path: Path, sides: list[PodSide]
) -> None:
    side = PodSide(sys.executable, pyz, env={"PODOPS_STATE_DIR": str(tmp_path / "state")})
    sides.append(side)
    side.hello(tmp_path / "runs", tmux={"enabled": False})
    spec = {
        "run_id": "r",
        "preset": "p",
        "kind": "command",
        "pod": "x",
        "outputs_dir": str(tmp_path / "runs"),
        "command_parts": ["true"],
        "tmux": {"enabled": False},
        "queue": {"hold": True},
    }

    def submit(number: int, request_id: str) -> dict[str, object]:
        side.send(id=number, op="submit", spec=spec, request_id=request_id)
        return side.wait_for(lambda frame: frame.header.get("id") == number).header

    assert submit(2, "request-1")["state"] == "held"
    # As if the pod side had been killed between making the run and answering.
    (tmp_path / "state/answers/request-1").write_bytes(b"")
    again = submit(3, "request-1")
    assert (again["ok"], again["state"]) == (True, "held")
    events = (tmp_path / "runs/r/events.jsonl").read_text()
    assert events.count('"submitted"') == 1
    assert submit(4, "request-2")["ok"] is False
    side.process.kill()
    side.process.wait(10)
    end_leftovers(tmp_path)


def test_a_client_says_how_often_it_wants_samples_and_runs_and_is_told_at_once_when_it_wants_more(
    pyz: Path, tmp_path: Path, sides: list[PodSide]
) -> None:
    side = PodSide(sys.executable, pyz)
    sides.append(side)
    run = tmp_path / "runs/by-hand"
    run.mkdir(parents=True)
    log = run / "stdout.log"
    log.write_text("x\n")
    side.hello(tmp_path / "runs", runs_interval_s=60.0)
    side.push("runs")
    side.send(id=2, op="rate", sample_interval_s=1e9, runs_interval_s="often")
    answer = side.wait_for(lambda frame: frame.header.get("id") == 2).header
    assert (answer["sample_interval_s"], answer["runs_interval_s"]) == (60.0, 60.0)
    side.push("sample")
    log.write_text("x\ny\n")
    side.send(id=3, op="rate", sample_interval_s=0.1, runs_interval_s=0.1)
    begun = time.monotonic()
    side.wait_for(lambda frame: frame.header.get("id") == 3)
    assert side.push("runs").header["changed"][0]["log_bytes"] == 4
    for _ in range(5):
        side.push("sample")
    assert time.monotonic() - begun < 60, "at the former rate it would have been five minutes"


@pytest.mark.parametrize("python", pythons())
def test_a_log_is_searched_under_each_python_also_when_the_process_that_searched_was_killed(
    pyz: Path, tmp_path: Path, sides: list[PodSide], python: str
) -> None:
    run = tmp_path / "runs/by-hand"
    run.mkdir(parents=True)
    (run / "stdout.log").write_text("first\nloss \x1b[31mnan\x1b[0m\nLOSS INF\nlast\n")
    side = PodSide(python, pyz)
    sides.append(side)
    side.hello(tmp_path / "runs")
    for number, (pattern, offsets) in enumerate(
        [("loss (nan|inf)", [6, 24]), ("^loss (?!nan)", [24]), ("[^ß]$", [0, 6, 24, 33]), ("nothing", [])], 10
    ):
        side.send(id=number, op="search", run_id="by-hand", pattern=pattern, ignore_case=True)
        header, payload = side.wait_for(lambda frame, number=number: frame.header.get("id") == number)  # type: ignore[misc]
        assert [match[0] for match in header["matches"]] == offsets and header["next"] is None
        assert payload.startswith(b"first") == (0 in offsets)
        for pid in descendants(side.process.pid):
            os.kill(pid, signal.SIGKILL)
    side.send(id=20, op="look for", run_id="by-hand")
    error = side.wait_for(lambda frame: frame.header.get("id") == 20).header["error"]
    assert error["message"] == "unknown request 'look for'"
