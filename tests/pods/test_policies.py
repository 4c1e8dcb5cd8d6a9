"""What a preset allows a run, enforced on a pod from end to end: time, silence, retries, log size, resuming."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podops_runners.queue_ops import change
from podops_runners.rundir import RunDir
from tests.faults.fault_pod import FaultPod, eventually, kill, new_pod, read, read_lines
from tests.faults.invariants import check, told_by

NCCL_TIMEOUT = (
    "[rank0]:[E1121 03:12:45.123456789 ProcessGroupNCCL.cpp:616] [Rank 0] Watchdog caught collective operation "
    "timeout: WorkNCCL(SeqNum=1234, OpType=ALLREDUCE, NumelIn=25165824, NumelOut=25165824, Timeout(ms)=600000) "
    "ran for 600012 milliseconds before timing out."
)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultPod]:
    with new_pod(tmp_path, monkeypatch) as found:
        yield found


def policies(**given: Any) -> dict[str, Any]:
    return {"grace_s": 0.3, **given}


def retries(**given: Any) -> dict[str, Any]:
    return policies(retries={"max": 2, "backoff_s": 0.05, **given})


def happened(run: RunDir, name: str) -> list[dict[str, Any]]:
    """The events of this name, in order."""
    return [line for line in read_lines(run.events) if line["event"] == name]


def ended(pod: FaultPod, run: RunDir) -> tuple[str, str, int]:
    summary = pod.summary(run)
    return summary["state"], summary["reason"], summary["attempts"]


def test_a_hung_run_ends_at_its_timeout_and_the_next_one_starts(pod: FaultPod) -> None:
    hung = pod.submit(line="sleep 1000", gpus={"all": True}, policies=policies(timeout_s=0.5))
    following = pod.submit("--lines 3", gpus={"all": True})
    assert ended(pod, hung) == ("failed", "timeout", 1)
    assert ended(pod, following) == ("succeeded", "ok", 1)
    check(pod)


def test_a_failure_does_not_stop_what_is_queued_after_it(pod: FaultPod) -> None:
    first = pod.started(gpus={"all": True})
    queued = [pod.submit(options, gpus={"all": True}) for options in ("--fail-at 2 --fail-attempts 1", "--lines 3")]
    pod.finish(first, 1)
    assert [pod.summary(run)["ok"] for run in (first, *queued)] == [False, False, True]
    check(pod)


def test_a_transient_fault_is_tried_again_and_each_attempt_keeps_its_log_and_times(pod: FaultPod) -> None:
    run = pod.submit("--fail-at 3 --fail-attempts 1 --lines 5", policies=retries())
    assert ended(pod, run) == ("succeeded", "ok", 2)
    first, second = read_lines(run.attempts)
    log = Path(run.stdout_log).read_bytes()
    assert log[first["log_start"] : first["log_end"]].count(b"attempt 1 line") == 3
    assert log[second["log_start"] : second["log_end"]].count(b"attempt 2 line") == 5
    assert (first["reason"], first["exit_code"], second["reason"]) == ("nonzero_exit", 1, "ok")
    assert first["started"] <= first["ended"] <= second["started"] <= second["ended"]
    assert [line["attempt"] for line in happened(run, "started")] == [1, 2]
    check(pod)


def test_a_transient_nccl_fault_is_not_final(pod: FaultPod) -> None:
    run = pod.submit(line=f"[ $OPS_ATTEMPT = 2 ] && exit 0; echo '{NCCL_TIMEOUT}'; exit 1", policies=retries())
    assert ended(pod, run) == ("succeeded", "ok", 2)
    assert [line["reason"] for line in read_lines(run.attempts)] == ["nccl", "ok"]


def test_attempts_are_used_up_and_then_it_has_failed(pod: FaultPod) -> None:
    run = pod.submit("--fail-at 2 --fail-attempts 9", policies=retries())
    assert ended(pod, run) == ("failed", "nonzero_exit", 3)
    assert "all 3 attempts are used" in happened(run, "not_retried")[-1]["detail"]
    check(pod)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"on": ["nccl"]}, "nonzero_exit is not retried"),
        ({"exit_codes": [2, 3]}, "exit status 1 is not retried"),
        ({"unless_log_matches": "^attempt 1 line 2"}, "its log matches"),
    ],
    ids=["on", "exit_codes", "unless_log_matches"],
)
def test_what_the_rules_do_not_name_is_final(pod: FaultPod, rule: dict[str, Any], why: str) -> None:
    run = pod.submit("--fail-at 2 --fail-attempts 9", policies=retries(**rule))
    assert ended(pod, run) == ("failed", "nonzero_exit", 1)
    assert why in happened(run, "not_retried")[0]["detail"]
    check(pod)


def test_what_the_rules_name_is_tried_again(pod: FaultPod) -> None:
    rule = {"on": ["nonzero_exit"], "exit_codes": [1], "unless_log_matches": "attempt 2"}
    run = pod.submit("--fail-at 2 --fail-attempts 9", policies=retries(**rule))
    assert ended(pod, run) == ("failed", "nonzero_exit", 2)
    assert "its log matches 'attempt 2'" in happened(run, "not_retried")[0]["detail"]


def test_each_pause_is_twice_the_one_before_up_to_the_longest(pod: FaultPod) -> None:
    rule = {"max": 4, "backoff_s": 0.1, "backoff_max_s": 0.3}
    run = pod.submit("--fail-at 1 --fail-attempts 9", policies=retries(**rule))
    assert ended(pod, run)[2] == 5
    assert [line["after_s"] for line in happened(run, "retrying")] == [0.1, 0.2, 0.3, 0.3]
    starts = [line["time"] for line in happened(run, "started")]
    ends = [line["ended"] for line in read_lines(run.attempts)]
    pauses = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert all(pause > wanted for pause, wanted in zip(pauses, (0.1, 0.2, 0.3, 0.3), strict=True))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (FaultPod.kill, "user_kill"),
        (lambda pod, run: kill(pod.supervisor(run), signal.SIGINT), "user_kill"),
        (lambda pod, run: kill(pod.supervisor(run), signal.SIGTERM), "preempted"),
    ],
    ids=["ops run kill", "ctrl-c", "the pod is told to stop"],
)
def test_the_pause_before_another_attempt_is_ended_like_an_attempt(
    pod: FaultPod, end: Callable[[FaultPod, RunDir], None], reason: str
) -> None:
    run = pod.submit("--fail-at 2 --fail-attempts 9", policies=retries(on=["nonzero_exit"], backoff_s=1000.0))
    eventually(lambda: "phase=retrying" in pod.heartbeat(run))
    end(pod, run)
    assert ended(pod, run)[:2] == ("cancelled", reason)
    assert len(pod.told(run)) == 1
    check(pod)


def test_a_run_that_was_killed_is_not_tried_again(pod: FaultPod) -> None:
    run = pod.started(policies=retries())
    pod.kill(run)
    assert ended(pod, run) == ("cancelled", "user_kill", 1)
    check(pod)


SILENT = "echo begun; [ $OPS_ATTEMPT = 2 ] && exit 0; sleep 1000"


@pytest.mark.parametrize(
    ("action", "expected"), [("kill", ("failed", "stalled", 1)), ("retry", ("succeeded", "ok", 2))]
)
def test_a_stall_is_acted_on_as_the_preset_says(pod: FaultPod, action: str, expected: tuple[str, str, int]) -> None:
    given = policies(stall_timeout_s=0.5, on_stall=action, retries={"backoff_s": 0.05})
    run = pod.submit(line=SILENT, policies=given)
    assert ended(pod, run) == expected
    assert happened(run, "stalled")[0]["action"] == action
    check(pod)


def test_a_checkpoint_is_a_sign_of_life(pod: FaultPod) -> None:
    line = "mkdir -p checkpoints; for n in 1 2 3 4 5 6 7 8; do touch checkpoints/$n.pt; sleep 1; done"
    run = pod.submit(line=line, policies=policies(stall_timeout_s=6.5, on_stall="kill"))
    assert ended(pod, run) == ("succeeded", "ok", 1)


@pytest.mark.parametrize("loss", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("action", ["flag", "stop"])
def test_a_loss_that_is_no_number_is_flagged_or_ends_the_run(pod: FaultPod, action: str, loss: str) -> None:
    line = f"echo 'iter 3: loss {loss}, time 2ms'; until [ -e go ]; do sleep 0.05; done"
    run = pod.submit(line=line, policies=policies(on_nan=action))
    told = eventually(lambda: happened(run, "nan_loss"))
    assert (told[0]["action"], told[0]["detail"]) == (action, f"loss is {loss} at step 3")
    if action == "flag":
        eventually(lambda: "nan=1" in pod.heartbeat(run))
        Path(run.path, "go").touch()
        assert ended(pod, run) == ("succeeded", "ok", 1)
    else:
        assert ended(pod, run) == ("failed", "nan_loss", 1)
    check(pod)


LIMIT = 1024 * 1024


def test_a_log_beyond_its_limit_ends_the_run(pod: FaultPod) -> None:
    run = pod.submit(
        line="yes 'the same line' | head -c 3M; sleep 1000",
        policies=policies(max_log_bytes=LIMIT, on_max_log="end"),
    )
    assert ended(pod, run) == ("failed", "log_limit", 1)
    assert happened(run, "log_large")[0]["limit_bytes"] == LIMIT
    check(pod)


#: Far more than what the run below writes between two looks at its log, also on a machine that is busy.
LARGE_LIMIT = 64 * LIMIT

#: A hundred megabytes a second, and no end of it.
FLOOD = "import os, time\nwhile os.write(1, b'the same line\\n' * 75000):\n    time.sleep(0.01)\n"


def test_a_flood_hardly_outgrows_its_limit_also_when_the_run_does_not_want_to_end(pod: FaultPod) -> None:
    run = pod.submit(
        line=f"trap '' INT TERM; {sys.executable} -I -S -c {shlex.quote(FLOOD)}",
        policies=policies(max_log_bytes=LARGE_LIMIT, on_max_log="end", grace_s=600.0),
    )
    assert ended(pod, run) == ("failed", "log_limit", 1)
    assert LARGE_LIMIT < Path(run.stdout_log).stat().st_size < 2 * LARGE_LIMIT
    assert happened(run, "stopping")[0]["detail"] == "its log is larger than 67,108,864 bytes"
    check(pod)


def test_the_middle_of_a_log_is_freed_its_offsets_stay_and_the_gap_is_told(pod: FaultPod) -> None:
    program = (
        "import os, time\n"
        "for n in range(400000):\n"
        "    os.write(1, b'%09d\\n' % n)\n"
        "    if n % 20000 == 0:\n"
        "        time.sleep(0.2)\n"
    )
    run = pod.submit(
        line=f'{sys.executable} -I -S -c "{program}"', policies=policies(max_log_bytes=LIMIT, on_max_log="punch")
    )
    assert ended(pod, run) == ("succeeded", "ok", 1)
    gaps = happened(run, "log_gap")
    if not gaps:
        pytest.skip("this file system cannot punch holes")
    log = Path(run.stdout_log)
    assert log.stat().st_size == 4_000_000
    assert log.stat().st_blocks * 512 < 3 * LIMIT
    whole = log.read_bytes()
    for n in range(400000):
        line, place = whole[n * 10 : n * 10 + 10], n * 10
        inside = any(gap["start"] < place + 10 and place < gap["end"] for gap in gaps)
        assert inside or line == b"%09d\n" % n, f"line {n} was changed outside every gap"
    assert whole.startswith(b"000000000\n")
    assert whole.endswith(b"000399999\n")
    check(pod)


def test_a_further_attempt_resumes_from_the_newest_whole_checkpoint(pod: FaultPod) -> None:
    make = (
        "mkdir -p checkpoints; echo old > checkpoints/1.pt; sleep 0.02; echo good > checkpoints/2.pt; sleep 0.02; "
        "printf 'PK\\003\\004cut' > checkpoints/3.pt; : > checkpoints/4.pt; echo x > checkpoints/5.pt.tmp"
    )
    run = pod.submit(
        line=f"[ $OPS_ATTEMPT = 1 ] && {{ {make}; }}; {pod.spec()['command_parts'][0]} --fail-at 2 --fail-attempts 1 "
        "--lines 4",
        policies=retries(),
    )
    assert ended(pod, run) == ("succeeded", "ok", 2)
    told = [told_by(path).resumed_from for path in sorted(pod.witness.glob("*.told"))]
    assert told == ["-", str(Path(run.checkpoints, "2.pt"))]
    assert happened(run, "resuming")[0]["checkpoint"].endswith("/checkpoints/2.pt")
    check(pod)


def test_the_first_attempt_resumes_only_where_the_preset_says_so(pod: FaultPod) -> None:
    for resume in (False, True):
        run = pod.submit(
            line='echo "from ${OPS_RESUME_FROM:-nothing}"', resume=resume, queue={"hold": True}, run_id=f"was{resume}"
        )
        Path(run.checkpoints).mkdir()
        Path(run.checkpoints, "7.pt").write_bytes(b"weights")
        change(run, "release", "a test")
        assert pod.summary(run)["ok"]
    said = [Path(run.stdout_log).read_text() for run in pod.runs]
    assert said[0] == "from nothing\n"
    assert said[1].endswith("/checkpoints/7.pt\n")


def test_gpus_are_kept_over_every_attempt(pod: FaultPod) -> None:
    run = pod.submit("--fail-at 20 --fail-attempts 2 --lines 30", gpus={"count": 3}, policies=retries())
    other = pod.submit("--lines 3", gpus={"count": 2})
    assert ended(pod, run) == ("succeeded", "ok", 3)
    assert pod.summary(other)["ok"]
    told = [told_by(path) for path in sorted(pod.witness.glob("*.told"))]
    assert {one.gpus for one in told if one.run_id == run.run_id} == {frozenset({0, 1, 2})}
    assert read(other.summary)["started"] >= read(run.summary)["ended"]
    check(pod)
