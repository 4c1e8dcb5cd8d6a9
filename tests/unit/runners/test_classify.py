"""Why a run ended: the true cause with its evidence, from what libraries print, and never a guess."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podops_runners import states
from podops_runners.classify import classify
from podops_runners.verdict import Ending, Verdict

ENDINGS = Path(__file__).parent / "endings"

#: What is known beside the log, where it is not just exit status 1.
BESIDE: dict[str, dict[str, Any]] = {
    "oom_host.dataloader": {"oom_kills": 1},
    "disk_full.torch_writer_only": {"disk_free_bytes": 0},
    "spawn_failed.not_found": {"exit_code": 127},
    "spawn_failed.not_executable": {"exit_code": 126},
    "nccl.watchdog": {"exit_code": 1},
}

ORDINARY = "".join(f"iter {number}: loss {3 - number / 1e6:.4f}, time 410.10ms, mfu 34.00%\n" for number in range(300))
CAUGHT_OOM = (ENDINGS / "oom_gpu.torch_1.txt").read_text()
VALUE_ERROR = 'Traceback (most recent call last):\n  File "train.py", line 9, in run\n    f(x)\nValueError: no\n'


def judged(tmp_path: Path, log: str | bytes, exit_code: int | None = 1, **known: Any) -> Verdict:
    path = tmp_path / "stdout.log"
    path.write_bytes(log.encode() if isinstance(log, str) else log)
    return classify(Ending(exit_code, log_path=str(path), **known))


def excerpt_names() -> list[str]:
    return sorted(path.name[: -len(".txt")] for path in ENDINGS.glob("*.txt"))


@pytest.mark.parametrize("name", excerpt_names())
def test_a_real_log_gives(name: str) -> None:
    path = ENDINGS / f"{name}.txt"
    verdict = classify(Ending(**{"exit_code": 1, "log_path": str(path), **BESIDE.get(name, {})}))
    assert (verdict.state, verdict.reason) == ("failed", name.partition(".")[0]), verdict
    at = path.read_bytes()[verdict.evidence["offset"] :].decode().splitlines()[0]
    assert " ".join(at.split()) == verdict.evidence["line"]
    assert 0 < len(verdict.detail) <= 300
    assert "ChildFailedError" not in verdict.detail
    json.dumps(verdict.evidence)


def test_every_reason_a_log_can_tell_has_a_real_excerpt() -> None:
    never_in_a_log = {"ok", "timeout", "stalled", "user_kill", "preempted", "pod_lost", "setup_failed"}
    never_in_a_log |= {"unhealthy", "log_limit"}
    told = {name.partition(".")[0] for name in excerpt_names()}
    assert told == set(states.REASONS) - never_in_a_log - {"dependency_failed", "unknown"}


@pytest.mark.parametrize("name", excerpt_names())
@pytest.mark.parametrize(
    ("after", "reason"),
    [("went on\n" + ORDINARY, "nonzero_exit"), (ORDINARY + VALUE_ERROR, "nonzero_exit")],
    ids=["silence", "another error"],
)
def test_a_failure_the_program_got_over_is_not_the_reason(tmp_path: Path, name: str, after: str, reason: str) -> None:
    known = {**BESIDE.get(name, {}), "exit_code": 1}
    assert judged(tmp_path, (ENDINGS / f"{name}.txt").read_text() + after, **known).reason == reason


TRAPS = {
    "a sample of the training set is printed": (
        'sample 17: {"question": "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB, what now?"}\n'
    ),
    "a sample quotes git and the shell": "text: git@github.com: Permission denied (publickey) is what I get\nbye\n",
    "an error quotes a record": (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n'
        'ValueError: bad record: "CUDA out of memory. Tried to allocate 2.00 GiB"\n'
    ),
    "an error's further lines quote a record": (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: bad record:\n'
        "  No space left on device was the title\n  OSError: [Errno 98] Address already in use\n"
    ),
    "an out of memory was caught at once": CAUGHT_OOM + VALUE_ERROR,
    "an out of memory was caught 50,000 lines before the end": CAUGHT_OOM + "working\n" * 50_000,
    "an out of memory was caught a few steps before": CAUGHT_OOM + ORDINARY[:600],
    "the next port was free": (
        "WARNING: [Errno 98] error while attempting to bind on address ('::', 8000): address already in use\n"
        "OSError: [Errno 98] Address already in use, trying port 8001\nserving on 8001\n"
    ),
    "another port was taken after a retry": "bind: Address already in use, retrying in 2 s\nlistening\n" + VALUE_ERROR,
    "a module is optional": (
        'Traceback (most recent call last):\n  File "a.py", line 2, in <module>\n    import flash_attn\n'
        "ModuleNotFoundError: No module named 'flash_attn'\n\n"
        "During handling of the above exception, another exception occurred:\n\n" + VALUE_ERROR
    ),
    "a destructor failed": (
        "Exception ignored in: <function Writer.__del__ at 0x7f>\nTraceback (most recent call last):\n"
        "  File \"w.py\", line 3, in __del__\nFileNotFoundError: [Errno 2] No such file or directory: 'x'\n"
    ),
    "the loss was no number for a while": "iter 7: loss nan, time 3ms\nloss is nan, skipping the batch, not stopping\n",
    "a word only looks like a loss": (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n'
        "AttributeError: module 'loss' has no attribute 'nan'\n"
    ),
    "no hardware is named": (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n'
        "RuntimeError: CUDA error: unspecified launch failure\n"
    ),
    "an Xid of the program's own doing": (
        "NVRM: Xid (PCI:0000:44:00): 31, pid=812, name=python, MMU Fault\n" + VALUE_ERROR
    ),
    "NCCL talks": "pod-a:81:81 [0] NCCL INFO NET/Plugin: No plugin found (libnccl-net.so)\n" + VALUE_ERROR,
    "a file is missing in the middle": "cat: notes.txt: No such file or directory\n" + "row\n" * 5,
    "a rank failed by itself and the others lost it": (
        "".join(f"[rank0]: {line}\n" for line in VALUE_ERROR.splitlines())
        + (ENDINGS / "nccl.system_error.txt").read_text().replace("\n", "\n[rank1]: ")
        + (ENDINGS / "nccl.watchdog.txt").read_text()
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_log_does_not_fool_it_when(tmp_path: Path, trap: str) -> None:
    verdict = judged(tmp_path, TRAPS[trap])
    assert verdict.reason == "nonzero_exit", verdict
    assert judged(tmp_path, TRAPS[trap], 0)[:2] == ("succeeded", "ok")


def test_a_frame_drawn_by_rich_is_read(tmp_path: Path) -> None:
    verdict = judged(tmp_path, (ENDINGS / "data_missing.rich_chain.txt").read_bytes().partition(b"\n\nThe above")[0])
    assert verdict.traceback is not None
    assert (verdict.traceback["file"], verdict.traceback["line"]) == ("/workspace/the/projects/load.py", 4)


def test_a_rank_that_failed_by_itself_is_the_one_shown(tmp_path: Path) -> None:
    verdict = judged(tmp_path, TRAPS["a rank failed by itself and the others lost it"])
    assert verdict.traceback == {
        "file": "train.py",
        "line": 9,
        "function": "run",
        "error": "ValueError",
        "message": "no",
    }
    assert verdict.detail == "ValueError: no (train.py:9)"


def test_exit_137_is_a_signal_until_the_kernel_counted_a_kill_for_memory(tmp_path: Path) -> None:
    assert judged(tmp_path, "epoch 3\n", 137)[:3] == ("failed", "signal", "ended by SIGKILL")
    killed = judged(tmp_path, "epoch 3\n", 137, oom_kills=2)
    assert (killed.reason, killed.evidence) == ("oom_host", {"source": "cgroup", "signal": 9, "oom_kills": 2})


def test_a_counted_kill_of_something_else_is_evidence_but_no_reason(tmp_path: Path) -> None:
    verdict = judged(tmp_path, VALUE_ERROR, oom_kills=1)
    assert (verdict.reason, verdict.evidence["oom_kills"]) == ("nonzero_exit", 1)


def test_a_dataloader_worker_that_only_died_is_not_called_out_of_memory() -> None:
    log_path = str(ENDINGS / "oom_host.dataloader.txt")
    assert classify(Ending(1, log_path=log_path)).reason == "nonzero_exit"
    assert classify(Ending(1, log_path=str(ENDINGS / "disk_full.torch_writer_only.txt"))).reason == "nonzero_exit"


@pytest.mark.parametrize("code", [126, 127])
def test_exit_126_and_127_need_the_word_of_the_shell(tmp_path: Path, code: int) -> None:
    assert judged(tmp_path, "all went well so far\n", code).reason == "nonzero_exit"


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        ("timeout", "failed"),
        ("stalled", "failed"),
        ("disk_full", "failed"),
        ("nan_loss", "failed"),
        ("user_kill", "cancelled"),
        ("preempted", "cancelled"),
    ],
)
def test_what_the_supervisor_decided_wins(tmp_path: Path, cause: str, state: str) -> None:
    verdict = judged(
        tmp_path, CAUGHT_OOM, 143, signal=15, stop_cause=cause, stop_detail="ran longer than 60 s", oom_kills=1
    )
    assert verdict[:3] == (state, cause, "ran longer than 60 s")
    assert verdict.evidence["source"] == "supervisor"


def test_an_ending_nobody_saw_stays_unknown_whatever_the_log_says(tmp_path: Path) -> None:
    verdict = judged(tmp_path, CAUGHT_OOM, None)
    assert verdict[:2] == ("failed", "unknown")
    assert verdict.detail.startswith("nobody saw how it ended, its last error: RuntimeError: CUDA out of memory.")


def test_only_the_attempts_own_bytes_are_read(tmp_path: Path) -> None:
    first, second, third = CAUGHT_OOM.encode(), VALUE_ERROR.encode(), b"OSError: [Errno 28] No space left on device\n"
    log = first + second + third
    middle = judged(tmp_path, log, log_start=len(first), log_end=len(first) + len(second))
    assert (middle.reason, middle.evidence["offset"]) == ("nonzero_exit", log.index(b"ValueError"))
    assert judged(tmp_path, log, log_end=len(first)).reason == "oom_gpu"


def test_colours_carriage_returns_and_log_headers_do_not_hide_the_reason(tmp_path: Path) -> None:
    bar = "".join(f"\r{step}%|██  | {step}/100 [00:01<00:09, 10.1it/s]" for step in range(40))
    error = CAUGHT_OOM.replace("RuntimeError", "\x1b[1;31mRuntimeError\x1b[0m").replace("\n", "\r\n")
    assert judged(tmp_path, bar + "\n" + error).reason == "oom_gpu"
    headed = "".join(f"2026-01-02 03:04:05,678 - ERROR - {line}\n" for line in CAUGHT_OOM.splitlines())
    assert judged(tmp_path, headed).reason == "oom_gpu"


def test_secrets_in_a_log_line_do_not_reach_the_summary(tmp_path: Path) -> None:
    token, password = "hf_" + "a1B2" * 8, "s3cret-w0rd"
    log = f'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: {token} https://me:{password}@x.y/\n'
    for verdict in (judged(tmp_path, log), judged(tmp_path, log.splitlines()[2] + "\n")):
        assert token not in repr(verdict) and password not in repr(verdict) and "***" in verdict.detail


@pytest.mark.parametrize("text", ["[x] ", "E: ", "a.", "loss nan ", "://a:b", "(pid=1 ", "bind ", ": ", "\x1b]", "| "])
def test_lines_made_to_slow_it_down_are_judged_all_the_same(tmp_path: Path, text: str) -> None:
    line = f"RuntimeError: {text * 1000}\n"
    log = f"{line}Traceback (most recent call last):\n  {line}{line}" * 40
    assert judged(tmp_path, log, oom_kills=1, disk_free_bytes=0).reason in ("nonzero_exit", "nan_loss")


@pytest.mark.parametrize("path", ["", "/nowhere/stdout.log", "/", "a\0b", "/dev/null"])
def test_a_log_that_cannot_be_read_only_tells_nothing(path: str) -> None:
    assert classify(Ending(3, log_path=path)).detail == "exit status 3"


@settings(max_examples=300)
@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [
                    piece
                    for name in excerpt_names()[::4]
                    for piece in (ENDINGS / f"{name}.txt").read_bytes().split(b"\n")
                ]
            ),
            st.sampled_from(
                [b"\r", b"  + Exception Group Traceback (most recent call last):", b"  | ", b"\x1b[", b"(pid=1) "]
            ),
        ),
        max_size=60,
    ),
    code=st.one_of(st.none(), st.integers(-300, 300)),
    number=st.one_of(st.none(), st.integers(-5, 200)),
    cause=st.one_of(st.none(), st.sampled_from(["timeout", "nonsense", "\x1b[31m"])),
    bounds=st.tuples(st.integers(-10, 10**20), st.one_of(st.none(), st.integers(-10, 10**20))),
    kills=st.integers(-1, 3),
)
def test_whatever_stands_in_the_log_a_verdict_comes(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[bytes],
    code: int | None,
    number: int | None,
    cause: str | None,
    bounds: tuple[int, int | None],
    kills: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz-{os.getpid()}.log"
    path.write_bytes(b"\n".join(pieces))
    for start, end in (bounds, (0, None)):
        verdict = classify(Ending(code, number, cause, "", str(path), start, end, kills, kills, ("note",)))
        assert verdict.reason in states.REASONS and verdict.state in states.ENDED
        assert len(verdict.detail) <= 300 and verdict.detail.isprintable()
        json.dumps([verdict.evidence, verdict.traceback]).encode()
