"""The supervisor on a pod, without any link: real tmux, real processes, real files."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from podops_runners import agent_process, process
from podops_runners.kill import request_kill
from podops_runners.rundir import RunDir
from podops_runners.runfiles import parse_heartbeat
from podops_runners.submit import submit_run
from tests.pods.loopback import end_leftovers, free_port, held, kill_tmux_server
from tests.pods.used_before import put_beside

T = TypeVar("T")
Start = Callable[..., RunDir]


def eventually(look: Callable[[], T], seconds: float = 60) -> T:
    """The first truthy value of `look`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)
    return value


def read(path: str) -> dict[str, Any]:
    try:
        record = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}
    assert isinstance(record, dict)
    return record


def events(run: RunDir) -> list[str]:
    return [json.loads(line)["event"] for line in Path(run.events).read_text().splitlines()]


@pytest.fixture
def socket() -> Iterator[str]:
    name = f"podops-test-{uuid4().hex[:8]}"
    yield name
    kill_tmux_server(name)


@pytest.fixture
def start(tmp_path: Path, socket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Submit a shell line on this machine as a pod would; whatever is still alive afterwards is ended."""
    pyz = tmp_path / "podops.pyz"
    put_beside(pyz)
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PODOPS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "argv", [str(pyz)])
    started: list[RunDir] = []

    def submit(line: str | list[Any], **spec: Any) -> RunDir:
        parts = [line] if isinstance(line, str) else line
        full = {
            "run_id": f"r{len(started)}",
            "project": "t",
            "preset": "p",
            "kind": "command",
            "pod": "here",
            "outputs_dir": str(tmp_path / "runs"),
            "command_parts": parts,
            "policies": {"timeout_s": None, "stall_timeout_s": None, "grace_s": 0.5},
            "tmux": {"enabled": True, "session_prefix": "run", "socket": socket},
            "watch_interval_s": 0.3,
            "artifacts_required": ["command.sh", "stdout.log", "summary.json"],
        }
        answer = submit_run(full | spec, force=False, gpus=list)
        started.append(RunDir(answer["run_dir"]))
        return started[-1]

    yield submit
    end_leftovers(tmp_path)


def test_a_run_leaves_the_whole_contract_behind(start: Start) -> None:
    run = start("echo 'iter 1: loss 3.5, time 2ms'; echo warn >&2; echo \"$OPS_RUN_ID|$OPS_RUN_DIR|$PYTHONUNBUFFERED\"")
    summary = eventually(lambda: read(run.summary))
    assert (summary["ok"], summary["state"], summary["reason"], summary["exit_code"]) == (True, "succeeded", "ok", 0)
    assert summary["last_metrics"]["loss"] == 3.5
    assert summary["missing_artifacts"] == []
    assert Path(run.stdout_log).read_text() == f"iter 1: loss 3.5, time 2ms\nwarn\n{run.run_id}|{run.path}|1\n"
    assert events(run) == ["submitted", "started", "ended"]
    for path in (
        run.spec,
        run.command,
        run.metadata,
        run.config_effective,
        run.stdout_index,
        run.heartbeat,
        run.metrics,
    ):
        assert Path(path).stat().st_size > 0, path
    again = subprocess.run(["bash", run.command], capture_output=True, text=True, check=True)
    assert again.stdout.startswith("iter 1: loss 3.5")


def test_ctrl_c_in_the_attached_pane_ends_the_run_gracefully(start: Start, socket: str) -> None:
    run = start("trap 'echo saved; exit 0' INT; echo up; while :; do sleep 0.1; done")
    pane = ["tmux", "-L", socket]
    target = f"run-{run.run_id}"
    eventually(lambda: b"up" in subprocess.run([*pane, "capture-pane", "-p", "-t", target], capture_output=True).stdout)
    subprocess.run([*pane, "send-keys", "-t", target, "C-c"], check=True)
    summary = eventually(lambda: read(run.summary))
    assert (summary["state"], summary["reason"]) == ("cancelled", "user_kill")
    assert Path(run.stdout_log).read_text().endswith("saved\n")


def test_a_kill_ends_the_whole_tree_even_what_ignores_it_and_what_left_the_group(start: Start) -> None:
    run = start(
        "trap '' INT TERM; setsid bash -c 'trap \"\" INT TERM; while :; do sleep 0.1; done' & echo up; "
        "while :; do sleep 0.1; done"
    )
    eventually(lambda: Path(run.stdout_log).exists() and "up" in Path(run.stdout_log).read_text())
    eventually(lambda: len(process.run_tree(None, run.path)) >= 2)
    request_kill(run, 0.3, "a test")
    summary = eventually(lambda: read(run.summary))
    assert (summary["state"], summary["reason"], summary["signal"]) == ("cancelled", "user_kill", signal.SIGKILL)
    assert process.run_tree(None, run.path) == set()


def test_a_killed_supervisor_is_replaced_and_the_exit_status_is_still_the_true_one(start: Start) -> None:
    run = start("while [ ! -e $OPS_RUN_DIR/go ]; do sleep 0.05; done; echo last words; exit 7")
    claim = eventually(lambda: read(run.claim) if read(run.claim).get("child") else {})
    os.kill(claim["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: process.is_alive(read(run.claim).get("supervisor")) and "adopted" in events(run))
    assert process.is_alive(claim["child"])
    Path(run.path, "go").touch()
    summary = eventually(lambda: read(run.summary))
    assert (summary["state"], summary["exit_code"], summary["attempts"]) == ("failed", 7, 1)
    assert events(run).count("started") == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("printf 'epoch %d/3 step %d/20 loss 2.%d\\n' $e $s $s", [(e, s) for e in (1, 2, 3) for s in range(1, 21)]),
        ("printf '\\r%d: 5%%|#  | %d/20 [00:01<00:01, 1.0it/s, loss=2.%d]\\r' $e $s $s", [*range(1, 21)] * 3),
    ],
)
def test_whoever_takes_over_tells_every_step_once_also_where_they_begin_again(
    start: Start, line: str, expected: list[Any]
) -> None:
    steps = f"for s in $(seq 1 20); do {line}; sleep 0.04; done"
    waits = "[ $e -gt 1 ] || while [ ! -e $OPS_RUN_DIR/go ]; do sleep 0.05; done"
    run = start(f"for e in 1 2 3; do {steps}; {waits}; done")
    eventually(lambda: metrics_of(run)[-1:] == expected[19:20])
    for count in (20, 45):
        eventually(lambda: len(metrics_of(run)) >= count)  # noqa: B023
        supervisor = read(run.claim)["supervisor"]
        os.kill(supervisor["pid"], signal.SIGKILL)
        Path(run.path, "go").touch()
        eventually(lambda: process.is_alive(read(run.claim).get("supervisor")))
    assert eventually(lambda: read(run.summary))["state"] == "succeeded"
    assert events(run).count("adopted") == 2
    assert metrics_of(run) == expected


def metrics_of(run: RunDir) -> list[Any]:
    """The epoch and step of each record, or its step where it tells no epoch."""
    lines = Path(run.metrics).read_text().splitlines() if Path(run.metrics).exists() else []
    found = [json.loads(line) for line in lines]
    return [(record["epoch"], record["step"]) if "epoch" in record else record["step"] for record in found]


def test_a_status_is_kept_for_a_supervisor_that_comes_after_the_end(start: Start) -> None:
    run = start("while [ ! -e $OPS_RUN_DIR/go ]; do sleep 0.05; done; exit 7")
    claim = eventually(lambda: read(run.claim) if read(run.claim).get("child") else {})
    record = eventually(lambda: agent_process.status() or {})
    with held(record["agent"]["pid"]):
        os.kill(claim["supervisor"]["pid"], signal.SIGKILL)
        Path(run.path, "go").touch()
        eventually(lambda: read(run.exit))
    assert eventually(lambda: read(run.summary))["exit_code"] == 7


def test_a_run_without_supervisor_can_be_killed(start: Start) -> None:
    run = start("while :; do echo tick; sleep 0.05; done")
    claim = eventually(lambda: read(run.claim) if read(run.claim).get("child") else {})
    os.kill(claim["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: not process.is_alive(claim["supervisor"]))
    request_kill(run, 0.2, "a test")
    assert eventually(lambda: read(run.summary))["reason"] == "user_kill"
    assert process.run_tree(None, run.path) == set()


def test_the_child_outlives_the_tmux_server(start: Start, socket: str) -> None:
    run = start("while [ ! -e $OPS_RUN_DIR/go ]; do sleep 0.05; done; echo done")
    eventually(lambda: read(run.claim).get("child"))
    subprocess.run(["tmux", "-L", socket, "kill-server"], check=True)
    Path(run.path, "go").touch()
    assert eventually(lambda: read(run.summary))["state"] == "succeeded"


def test_a_run_over_its_time_fails_with_timeout(start: Start) -> None:
    run = start("while :; do sleep 0.1; done", policies={"timeout_s": 0.5, "grace_s": 0.3})
    summary = eventually(lambda: read(run.summary))
    assert (summary["state"], summary["reason"]) == ("failed", "timeout")


def test_a_run_that_prints_faster_than_anybody_can_read_is_watched_and_killed_all_the_same(start: Start) -> None:
    run = start("while :; do seq -f 'iter %g: loss 3.5, time 2ms' 1 200000; done")
    try:
        eventually(lambda: Path(run.heartbeat).exists())
        request_kill(run, 0.5, "a test")
        summary = eventually(lambda: read(run.summary))
        assert (summary["state"], summary["reason"]) == ("cancelled", "user_kill")
        assert summary["log_bytes"] == Path(run.stdout_log).stat().st_size
    finally:
        Path(run.stdout_log).write_text("")


def test_what_stands_at_the_end_of_a_flood_is_read(start: Start) -> None:
    run = start("yes 'nothing to see here' | head -c 60M; echo; echo 'iter 7: loss 1.5, time 2ms'; exit 1")
    summary = eventually(lambda: read(run.summary))
    assert summary["last_metrics"]["loss"] == 1.5
    assert summary["log_bytes"] == Path(run.stdout_log).stat().st_size
    Path(run.stdout_log).write_text("")


def test_a_silent_run_is_flagged_as_stalled_and_left_alone(start: Start) -> None:
    run = start(
        "echo a; while [ ! -e $OPS_RUN_DIR/go ]; do sleep 0.05; done; echo b",
        policies={"timeout_s": None, "stall_timeout_s": 0.5, "grace_s": 0.3},
    )
    eventually(lambda: Path(run.heartbeat).exists() and "stalled=1" in Path(run.heartbeat).read_text())
    Path(run.path, "go").touch()
    assert eventually(lambda: read(run.summary))["state"] == "succeeded"
    assert "stalled" in events(run)


def test_the_heartbeat_tells_how_far_a_run_is_whose_kind_knows_its_length(start: Start) -> None:
    run = start("echo 'iter 3: loss 2.0, time 1ms'; sleep 60", derived={"total_steps": 60})
    eventually(lambda: Path(run.heartbeat).exists() and " step=3 total=60" in Path(run.heartbeat).read_text())
    request_kill(run, 0.1, "a test")
    assert eventually(lambda: read(run.summary))["last_metrics"]["step"] == 3


def test_the_heartbeat_tells_what_is_left_of_a_run_and_not_of_an_epoch(start: Start) -> None:
    bar = "printf ' %d/%d [00:01<00:01, 1it/s]\\r' $step"
    whole = start(f"for step in $(seq 1 400); do {bar} 400; sleep 0.1; done")
    epochs = start(f"for epoch in 1 2; do for step in 1 5 10; do {bar} 10; done; done; sleep 60")
    left = eventually(lambda: heartbeat_of(whole).get("left"))
    assert 10 < int(left or 0) < 400, "a step takes a little more than 0.1 s"
    eventually(lambda: heartbeat_of(epochs).get("part") == "1")
    told = heartbeat_of(epochs)
    assert (told["step"], told["total"], "left" in told) == ("10", "10", False)
    request_kill(whole, 0.1, "a test")
    request_kill(epochs, 0.1, "a test")
    assert eventually(lambda: read(whole.summary) and read(epochs.summary))


def test_of_how_many_steps_a_run_has_is_told_before_its_next_heartbeat_is_due_and_after_its_end(start: Start) -> None:
    lines = "for step in 1 2 3; do echo epoch 2/3 step $step/9 loss 2.3; sleep 0.2; done"
    run = start(f"sleep 0.5; {lines}; sleep 60", watch_interval_s=60)
    eventually(lambda: heartbeat_of(run).get("total") == "9")
    eventually(lambda: "step 3/9" in Path(run.stdout_log).read_text())
    request_kill(run, 0.1, "a test")
    assert eventually(lambda: read(run.summary))["state"] == "cancelled"
    told = heartbeat_of(run)
    assert [told[name] for name in ("step", "total", "part", "epoch", "epochs")] == ["3", "9", "1", "2", "3"]


def test_the_heartbeat_counts_epochs_from_1_and_tells_of_how_many_by_the_command(start: Start) -> None:
    bar = "printf 'Epoch %d: 5%%|#  | %d/20 [00:01<00:01, 1.0it/s]\\r' $e $s"
    run = start(f"for e in 0 1; do for s in 1 20; do {bar}; done; done; sleep 60", derived={"total_epochs": 4})
    eventually(lambda: heartbeat_of(run).get("epoch") == "2")
    told = heartbeat_of(run)
    assert [told[name] for name in ("step", "total", "part", "epoch", "epochs", "epoch_from")] == [
        "20",
        "20",
        "1",
        "2",
        "4",
        "0",
    ]
    request_kill(run, 0.1, "a test")
    assert eventually(lambda: read(run.summary))["state"] == "cancelled"


def heartbeat_of(run: RunDir) -> dict[str, str]:
    return parse_heartbeat(Path(run.heartbeat).read_text()) if Path(run.heartbeat).exists() else {}


def test_a_service_becomes_ready_when_it_answers(start: Start) -> None:
    port = free_port()
    run = start(
        f"mkdir -p www/v1; touch www/v1/models; {sys.executable} -m http.server {port} --bind 127.0.0.1 -d www",
        service={"port": port, "health": "/v1/models"},
    )
    eventually(lambda: Path(run.heartbeat).exists() and "phase=ready" in Path(run.heartbeat).read_text())
    assert "ready" in events(run)
    request_kill(run, 1.0, "a test")
    assert eventually(lambda: read(run.summary))["state"] == "cancelled"


@pytest.mark.parametrize("netrc", [None, "machine api.wandb.ai\n  login user\n  password xyz\n", "machine broken"])
def test_auto_is_decided_by_the_credentials_in_netrc(start: Start, netrc: str | None) -> None:
    if netrc is not None:
        path = Path(os.environ["HOME"], ".netrc")
        path.write_text(netrc)
        path.chmod(0o600)
    run = start(["echo", {"auto": "wandb_log", "yes": " wandb_log=True", "no": " wandb_log=False"}])
    eventually(lambda: read(run.summary))
    expected = netrc is not None and "password" in netrc
    assert Path(run.stdout_log).read_text() == f"wandb_log={expected}\n"


def test_without_tmux_a_run_still_works_when_the_project_says_so(start: Start) -> None:
    run = start("echo hi", tmux={"enabled": False})
    assert eventually(lambda: read(run.summary))["state"] == "succeeded"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("{'loss': 1.5, 'epoch': 2.0}", {"loss": 1.5}),
        (r"\rEpoch 0:  50%|##   | 5/10 [00:01<00:01, 5.0it/s, loss=0.25]\r", {"step": 5, "loss": 0.25}),
        ("step 20: train loss 2.5, val loss 2.75", {"step": 20, "val_loss": 2.75}),
        ("at 7 nll=0.125", {"step": 7, "nll": 0.125}),
        ("epoch 2, step 30/60 | loss: 1.25, train/lr=1e-4", {"step": 30, "loss": 1.25, "train/lr": 0.0001}),
        ("step=31 loss 0.5", {"step": 31, "loss": 0.5}),
        ("iter 3: loss nan, time 1ms", {"step": 3, "loss": "nan"}),
    ],
)
def test_metrics_are_found_in_what_a_run_prints(start: Start, printed: str, expected: dict[str, Any]) -> None:
    run = start(f"printf '%b\\n' {shlex.quote(printed)}", metrics_pattern=r"at (?P<step>\d+) nll=(?P<nll>[\d.]+)")
    found = eventually(lambda: read(run.summary))["last_metrics"]
    assert {key: found.get(key) for key in expected} == expected


def test_a_time_that_a_run_prints_is_not_that_of_its_record(start: Start) -> None:
    run = start("echo 'step 10 loss: 2.31 time: 0.5'")
    eventually(lambda: read(run.summary))
    (record,) = (json.loads(line) for line in Path(run.metrics).read_text().splitlines())
    assert (record["step"], record["loss"]) == (10, 2.31) and record["time"] > 1e9


def test_metrics_a_run_writes_itself_are_not_told_twice(start: Start) -> None:
    run = start("""echo '{"step": 1, "loss": 2.0}' >> $OPS_METRICS_FILE; echo 'iter 1: loss 2.0, time 1ms'""")
    eventually(lambda: read(run.summary))
    assert Path(run.metrics).read_text() == '{"step": 1, "loss": 2.0}\n'


WRITES_METRICS = """
import json, os
with open(os.environ["OPS_METRICS_FILE"], "a") as file:
    for step in range(200):
        print(json.dumps({"step": step, "loss": 1 / (1 + step)} | ({} if step else {"val_loss": 3.5})), file=file)
"""


@pytest.mark.parametrize("before", ["true", "echo 'iter 900: loss 9.5, time 1ms'", "echo 'nll=7.0 lr=0.5'; sleep 1"])
def test_the_last_metrics_of_a_run_are_those_it_has_written_itself(start: Start, before: str) -> None:
    run = start(f"{before}; {sys.executable} -c {shlex.quote(WRITES_METRICS)}", metrics_pattern=r"lr=(?P<lr>[\d.]+)")
    told = eventually(lambda: read(run.summary))["last_metrics"]
    assert (told["step"], told["loss"], told["val_loss"]) == (199, 0.005, 3.5)
    assert told.get("lr") == (0.5 if "lr=" in before else None)


def test_the_last_metrics_stay_those_of_the_attempt_that_told_any(start: Start) -> None:
    line = "[ $OPS_ATTEMPT = 1 ] && echo 'iter 7: loss 2.5, time 1ms'; exit 3"
    run = start(line, policies={"retries": {"max": 1, "on": ["nonzero_exit"], "backoff_s": 0.1}})
    summary = eventually(lambda: read(run.summary))
    assert (summary["attempts"], summary["last_metrics"]["step"], summary["last_metrics"]["loss"]) == (2, 7, 2.5)
