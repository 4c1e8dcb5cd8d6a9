"""kill -9 of everything there is on a pod, one by one and together."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from podops_runners import agent_process, gpu_claims, machine, process
from tests.faults.fault_pod import FaultPod, await_end_of, eventually, kill, kill_tmux
from tests.faults.invariants import check
from tests.pods.loopback import command_line, descendants, held

#: "The agent takes it over within ten seconds."
TAKEN_OVER_S = 10


def taken_over(pod: FaultPod, run_index: int = 0) -> bool:
    run = pod.runs[run_index]
    return process.is_alive(pod.claim(run).get("supervisor")) and "adopted" in pod.events(run)


@pytest.mark.parametrize("code", [0, 7])
def test_a_killed_supervisor_is_replaced_within_ten_seconds_and_the_exit_status_is_the_true_one(
    pod: FaultPod, code: int
) -> None:
    run = pod.started(gpus={"count": 1})
    child = pod.child(run)
    kill(pod.supervisor(run))
    eventually(lambda: taken_over(pod), "the take-over", TAKEN_OVER_S)
    assert pod.child(run) == child
    pod.finish(run, code)
    assert pod.summary(run)["exit_code"] == code
    check(pod)


def test_a_supervisor_killed_again_and_again_loses_nothing(pod: FaultPod) -> None:
    run = pod.started()
    for times in (1, 2, 3):
        supervisor = pod.supervisor(run)
        kill(supervisor)
        await_end_of(supervisor)
        eventually(lambda: pod.claim(run).get("supervisor"), "the take-over")
        eventually(lambda: pod.events(run).count("adopted") == times, "the take-over")  # noqa: B023
    pod.finish(run, 5)
    assert pod.summary(run)["exit_code"] == 5
    check(pod)


def test_a_run_that_ends_while_nobody_watches_keeps_its_exit_status(pod: FaultPod) -> None:
    run = pod.started()
    agent, supervisor, child = pod.agent(), pod.supervisor(run), pod.child(run)
    kill(agent)
    kill(supervisor)
    await_end_of(supervisor)
    pod.finish(run, 9)
    await_end_of(child)
    pod.start_agent()
    assert pod.summary(run)["exit_code"] == 9
    check(pod)


def test_a_killed_agent_comes_back_and_starts_what_waits(pod: FaultPod) -> None:
    first = pod.started(gpus={"all": True})
    waiting = pod.submit("--lines 3", gpus={"all": True})
    killed = pod.agent()
    kill(killed)
    await_end_of(killed)
    assert pod.waits(waiting)
    eventually(lambda: pod.agent() != killed, "another agent")
    pod.finish(first)
    assert pod.summary(waiting)["ok"]
    check(pod)


def test_killing_agent_and_supervisor_at_once_loses_nothing_though_nobody_asks(pod: FaultPod) -> None:
    run = pod.started(gpus={"count": 2})
    kill(pod.agent())
    kill(pod.supervisor(run))
    eventually(lambda: taken_over(pod), "the take-over", TAKEN_OVER_S)
    pod.finish(run, 3)
    assert pod.summary(run)["exit_code"] == 3
    check(pod)


def test_the_run_outlives_the_tmux_server_and_so_does_the_agent(pod: FaultPod) -> None:
    run = pod.started()
    kill_tmux(pod.socket)
    pod.finish(run, 4)
    assert pod.summary(run)["exit_code"] == 4
    after = pod.submit("--lines 3")
    assert pod.summary(after)["ok"]
    check(pod)


def test_the_agent_comes_back_when_its_tmux_server_dies(pod: FaultPod) -> None:
    run = pod.started(gpus={"all": True})
    waiting = pod.submit("--lines 3", gpus={"count": 1})
    pod.agent()
    kill_tmux(agent_process.socket())
    pod.finish(run)
    assert pod.summary(waiting)["ok"]
    check(pod)


def test_a_killed_child_is_told_as_killed(pod: FaultPod) -> None:
    run = pod.started()
    kill(pod.child(run))
    summary = pod.summary(run)
    assert (summary["state"], summary["reason"], summary["signal"]) == ("failed", "signal", signal.SIGKILL)
    check(pod)


def test_a_killed_process_group_is_told_as_killed(pod: FaultPod) -> None:
    run = pod.started(line=f"{pod.spec()['command_parts'][0].replace('exec ', '')} & wait $!")
    child = pod.child(run)
    os.killpg(child, signal.SIGKILL)
    summary = pod.summary(run)
    assert (summary["state"], summary["reason"], summary["signal"]) == ("failed", "signal", signal.SIGKILL)
    check(pod)


def test_a_killed_shim_costs_nothing_while_the_supervisor_lives(pod: FaultPod) -> None:
    run = pod.started()
    kill(pod.shim(run))
    pod.finish(run, 6)
    assert pod.summary(run)["exit_code"] == 6
    check(pod)


def test_of_a_run_whose_every_witness_was_killed_nothing_is_claimed_but_that_nobody_knows(pod: FaultPod) -> None:
    run = pod.started()
    for pid in (pod.supervisor(run), pod.shim(run)):
        kill(pid)
        await_end_of(pid)
    child = pod.child(run)
    pod.finish(run, 0)
    await_end_of(child)
    summary = pod.summary(run)
    assert (summary["state"], summary["reason"], summary["exit_code"]) == ("failed", "unknown", None)


def test_everything_of_a_run_killed_at_once_is_tried_again_where_the_preset_says_so(pod: FaultPod) -> None:
    retries = {"max": 2, "backoff_s": 0.1}
    run = pod.started(policies={"grace_s": 0.5, "retries": retries}, gpus={"count": 1})
    victims = (pod.supervisor(run), pod.shim(run), pod.child(run))
    for pid in victims:
        kill(pid)
    eventually(lambda: len(pod.told(run)) == 2, "another attempt")
    pod.finish(run)
    summary = pod.summary(run)
    assert (summary["ok"], summary["attempts"]) == (True, 2)
    check(pod)


def test_supervisors_killed_at_any_moment_leave_one_true_end(pod: FaultPod) -> None:
    for number in range(12):
        run = pod.submit("--lines 5 --every 0.02")
        deadline = time.monotonic() + number * 0.04
        while time.monotonic() < deadline:
            time.sleep(0.001)
        supervisor = pod.claim(run).get("supervisor")
        if supervisor:
            kill(supervisor["pid"])
    for run in pod.runs:
        assert pod.summary(run)["ok"]
    check(pod)


def test_agents_killed_at_any_moment_start_no_run_twice_and_forget_none(pod: FaultPod) -> None:
    for number in range(8):
        pod.submit("--lines 5 --every 0.02", gpus={"count": 1 + number % 4})
    for number in range(15):
        pod.start_agent()
        deadline = time.monotonic() + number * 0.02
        while time.monotonic() < deadline:
            time.sleep(0.001)
        agent = agent_process.status()
        if agent:
            kill(agent["agent"]["pid"])
            await_end_of(agent["agent"]["pid"])
    pod.start_agent()
    for run in pod.runs:
        assert pod.summary(run)["ok"]
    check(pod)


@pytest.mark.parametrize(
    "rubbish", ["", "{", "[]", '{"schema": 1}', '{"token": 7, "time": "x", "gpus": 3, "child": []}']
)
def test_a_record_that_was_spoiled_costs_its_own_run_at_most(pod: FaultPod, rubbish: str) -> None:
    spoiled = pod.started()
    waiting = pod.submit("--lines 3", queue={"hold": True})
    for path in (waiting.ticket, waiting.metadata, waiting.spec, spoiled.claim, spoiled.child):
        Path(path).write_text(rubbish)
    kill(pod.agent())
    fine = pod.submit("--lines 3", gpus={"count": 1})
    assert pod.summary(fine)["ok"]
    pod.agent()
    pod.finish(spoiled, 0)
    assert pod.summary(spoiled)["ok"]
    pod.runs[:] = [fine]
    check(pod)


def test_a_pod_that_is_told_to_stop_ends_its_runs_gracefully_and_says_why(pod: FaultPod) -> None:
    run = pod.started()
    kill(pod.supervisor(run), signal.SIGTERM)
    summary = pod.summary(run)
    assert (summary["state"], summary["reason"], summary["signal"]) == ("cancelled", "preempted", signal.SIGINT)
    check(pod)


@pytest.mark.parametrize("first", ["child", "supervisor", "shim"])
def test_a_pod_that_shuts_down_and_ends_everything_at_once_says_why_its_runs_ended(pod: FaultPod, first: str) -> None:
    run = pod.started(policies={"grace_s": 0.5, "retries": {"max": 2, "on": ["signal"], "backoff_s": 0.1}})
    ahead = {"child": pod.child, "supervisor": pod.supervisor, "shim": pod.shim}[first](run)
    for pid in (ahead, *(pid for pid in pod.processes() if pid != ahead)):
        kill(pid, signal.SIGTERM)
    summary = pod.summary(run)
    assert (summary["state"], summary["reason"], summary["attempts"]) == ("cancelled", "preempted", 1)
    check(pod)


def test_a_run_that_a_user_ended_says_so_though_its_supervisor_died_over_it(pod: FaultPod) -> None:
    run = pod.started()
    agent, supervisor, child = pod.agent(), pod.supervisor(run), pod.child(run)
    with held(agent, supervisor):
        pod.kill(run)
        kill(child, signal.SIGINT)  # what the supervisor does first
        await_end_of(child)
        kill(supervisor)
    assert pod.summary(run)["reason"] == "user_kill"
    check(pod)


def test_an_end_that_was_told_is_told_once_though_its_supervisor_died_before_the_summary(pod: FaultPod) -> None:
    run = pod.submit("--lines 3")
    ended = pod.summary(run)
    agent = pod.agent()
    kill(agent)
    await_end_of(agent)
    # The summary is the last thing that a supervisor writes.
    Path(run.summary).unlink()
    pod.start_agent()
    again = pod.summary(run)
    assert again["ended"] == ended["ended"] == pytest.approx(again["started"] + again["elapsed_s"], abs=0.5)
    assert "adopted" in pod.events(run)
    check(pod)


def test_gpus_stay_with_their_runs_though_somebody_clears_tmp(pod: FaultPod) -> None:
    run = pod.started(gpus={"count": 3})
    state = Path(os.environ["PODOPS_STATE_DIR"])
    (state / "gpus-simulated.json").unlink()
    eventually(lambda: len(gpu_claims.claims(True)) == 3, "its claim again")
    other = pod.submit("--lines 3", gpus={"count": 2})
    assert pod.waits(other)
    pod.finish(run)
    assert pod.summary(other)["ok"]
    check(pod)


def test_a_tmux_that_refuses_keeps_no_run_from_starting(pod: FaultPod, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = pod.root / "bin" / "tmux"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'create window failed: fork failed' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    first = pod.started(gpus={"all": True})
    waiting = pod.submit("--lines 3", gpus={"count": 1})
    kill(pod.supervisor(first))
    eventually(lambda: "adopted" in pod.events(first), "the take-over")
    pod.finish(first, 3)
    assert pod.summary(first)["exit_code"] == 3
    assert pod.summary(waiting)["ok"]
    check(pod)


def test_an_agent_keeps_no_memory_of_having_compiled_itself_and_is_there_all_the_while(pod: FaultPod) -> None:
    shutil.rmtree(pod.pyz.with_suffix(""))
    run = pod.started()
    first = pod.agent()

    def restarted() -> bool:
        assert machine.take_lock(agent_process.LOCK) is None
        return f"{pod.pyz.with_suffix('')}/__main__.py agent" in command_line(first)

    eventually(restarted, "its restart")
    assert machine.take_lock(agent_process.LOCK) is None
    assert pod.agent() == first
    assert not [pid for pid in descendants(first) if command_line(pid) == ""], "it has left a process unreaped"
    kill(pod.supervisor(run))
    eventually(lambda: taken_over(pod), "the take-over", TAKEN_OVER_S)
    pod.finish(run)
    assert pod.summary(run)["exit_code"] == 0
    check(pod)
