"""What must hold of a pod after any fault, once everything has ended. Every fault test ends with `check`."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podops_runners import gpu_claims, process, states
from podops_runners.rundir import RunDir
from podops_runners.runfiles import parse_heartbeat
from tests.faults.fault_pod import FaultPod, all_pids, eventually, read_lines


@dataclass(frozen=True)
class Told:
    """What one start of the witness told: the attempt, the lines it printed, its GPUs, from when to when it lived."""

    run_id: str
    attempt: int
    lines: int
    gpus: frozenset[int]
    #: Monotonic seconds; 0 when it was killed before it could tell.
    begun: float
    last: float
    #: The status it ended with; `None` when it was ended.
    code: int | None
    resumed_from: str


def check(pod: FaultPod) -> None:
    """Await the end of every run, then check every invariant. Fails naming the run and what does not hold."""
    for run in pod.runs:
        pod.summary(run)
    told = [told_by(path) for path in sorted(pod.witness.glob("*.told"))]
    for run in pod.runs:
        own = sorted((one for one in told if one.run_id == run.run_id), key=lambda one: one.attempt)
        every_record_parses(run)
        one_true_state(pod, run, own)
        ran_at_most_once_per_attempt(run, own)
        no_log_byte_is_missing(run, own)
        no_process_is_left(run)
    no_gpu_was_claimed_twice(told)
    eventually(lambda: not gpu_claims.claims(True) and not gpu_claims.claims(False), "the end of every claim")


def one_true_state(pod: FaultPod, run: RunDir, told: list[Told]) -> None:
    summary = pod.summary(run)
    state = summary["state"]
    assert state in states.ENDED, summary
    assert summary["ok"] is (state == states.SUCCEEDED) is (summary["reason"] == "ok"), summary
    assert summary["reason"] in states.REASONS
    assert pod.state(run) == state
    eventually(lambda: pod.events(run).count("ended") == 1, f"one end of {run.run_id} in its events")
    assert pod.events(run).count("submitted") == 1
    if told and told[-1].code is not None and summary["reason"] in ("ok", "nonzero_exit"):
        assert summary["exit_code"] == told[-1].code, f"{run.run_id}: not its own exit status"
    if told and told[-1].code == 0 and summary["attempts"] == told[-1].attempt:
        assert summary["ok"] or summary["reason"] == "user_kill", f"{run.run_id}: it ended well, but {summary}"


def ran_at_most_once_per_attempt(run: RunDir, told: list[Told]) -> None:
    attempts = [one.attempt for one in told]
    assert len(set(attempts)) == len(attempts), f"{run.run_id} was started twice in one attempt: {attempts}"
    stored = [line["attempt"] for line in read_lines(run.attempts)]
    assert stored == sorted(set(stored)), f"{run.run_id}: attempts told twice or out of order: {stored}"


def no_log_byte_is_missing(run: RunDir, told: list[Told]) -> None:
    if not told:
        return
    log = Path(run.stdout_log).read_text()
    expected = ""
    for one in told:
        lines = [f"attempt {one.attempt} line {number} of {run.run_id}\n" for number in range(1, one.lines + 2)]
        expected += "".join(lines[:-1])
        # Killed between its line and telling of it.
        if one.code is None and log.startswith(expected + lines[-1]):
            expected += lines[-1]
    assert log == expected, f"{run.run_id}: its log is not what it wrote: {_first_difference(log, expected)}"
    ranges = [(line["log_start"], line["log_end"]) for line in read_lines(run.attempts)]
    for (_, end), (start, _) in itertools.pairwise(ranges):
        assert end == start, f"{run.run_id}: log bytes between two attempts: {ranges}"


def no_process_is_left(run: RunDir) -> None:
    eventually(lambda: not process.run_tree(None, run.path), f"the end of every process of {run.run_id}")
    eventually(lambda: not _supervisors_of(run), f"the end of every supervisor and shim of {run.run_id}")


def every_record_parses(run: RunDir) -> None:
    for path in Path(run.path).rglob("*.json"):
        assert isinstance(json.loads(path.read_text()), dict), path
    for path in Path(run.path).rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            assert isinstance(json.loads(line), dict), f"{path}: {line}"
    if Path(run.heartbeat).exists():
        assert parse_heartbeat(Path(run.heartbeat).read_text()), run.heartbeat


def no_gpu_was_claimed_twice(told: list[Told]) -> None:
    by_start = sorted((one for one in told if one.gpus), key=lambda one: one.begun)
    for index, one in enumerate(by_start):
        for other in by_start[index + 1 :]:
            shared = one.gpus & other.gpus
            assert not shared or other.begun >= one.last, f"{one.run_id} and {other.run_id} both had GPU {shared}"


def told_by(path: Path) -> Told:
    run_id, attempt = path.name.split(".")[:2]
    lines = [line.split() for line in path.read_text().splitlines()]
    if not lines:  # killed before its first word, which comes before its first line of output
        return Told(run_id, int(attempt), 0, frozenset(), 0.0, 0.0, None, "-")
    gpus = lines[0][2]
    return Told(
        run_id,
        int(attempt),
        sum(line[0] == "line" for line in lines),
        frozenset() if gpus == "-" else frozenset(int(index) for index in gpus.split(",")),
        float(lines[0][1]),
        float(lines[-1][1]),
        int(lines[-1][2]) if lines[-1][0] == "end" else None,
        lines[0][3],
    )


def _supervisors_of(run: RunDir) -> list[int]:
    """Supervisors and their shims: both have `supervise RUN_DIR` in their command line."""
    needle = b"\0supervise\0" + os.fsencode(run.path) + b"\0"
    found = []
    for pid in all_pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if needle in command and process.start_ticks(pid) is not None:
            found.append(pid)
    return found


def _first_difference(log: str, expected: str) -> dict[str, Any]:
    pairs = enumerate(zip(log, expected, strict=False))
    place = next((number for number, (one, other) in pairs if one != other), min(len(log), len(expected)))
    around = slice(max(0, place - 60), place + 60)
    return {"at": place, "log": log[around], "expected": expected[around], "sizes": (len(log), len(expected))}
