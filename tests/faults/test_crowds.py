"""Many at once: submits, agents, supervisors of one run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from podops_runners import agent_process, process, program
from podops_runners.rundir import RunDir
from tests.faults.fault_pod import FaultPod, all_pids, eventually, kill
from tests.faults.invariants import check, told_by
from tests.pods.pod_side import PodSide


@pytest.fixture
def links(pod: FaultPod) -> Iterator[list[PodSide]]:
    """Five clients of the pod at once."""
    env = {"PODOPS_STATE_DIR": os.environ["PODOPS_STATE_DIR"]}
    found = [PodSide(sys.executable, pod.pyz, env=env) for _ in range(5)]
    for link in found:
        link.hello(pod.outputs, pod="here", simulate_gpus=pod.simulate_gpus, tmux={"socket": pod.socket})
    yield found
    for link in found:
        link.process.kill()
        link.process.communicate()


def agents(pod: FaultPod) -> list[int]:
    """Agents of this pod: their state directory stands in their environment."""
    mine = os.environ["PODOPS_STATE_DIR"]
    found = []
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                is_agent = b"\0agent\0" in stream.read()
        except OSError:
            continue
        # A tmux server shows the command it was started with.
        if (
            is_agent
            and not process.command_name(pid).startswith("tmux")
            and process.environment(pid, "PODOPS_STATE_DIR") == mine
        ):
            found.append(pid)
    # The keepers of its outputs roots are the agent's own.
    return [pid for pid in found if process.parent(pid) not in found]


def test_fifty_submits_at_once_from_five_clients_all_run_once(pod: FaultPod, links: list[PodSide]) -> None:
    for client, link in enumerate(links):
        for number in range(10):
            run_id = f"c{client}n{number}"
            spec = pod.spec("--lines 3", run_id=run_id, gpus={"count": 1 + number % 2})
            link.send(id=100 + number, op="submit", spec=spec, request_id=run_id)
            pod.runs.append(RunDir(str(pod.outputs / run_id)))
    for link in links:
        for number in range(10):
            answer = link.wait_for(lambda frame, n=number: frame.header.get("id") == 100 + n, 60)  # type: ignore[misc]
            assert answer.header["ok"], answer.header
    for run in pod.runs:
        assert pod.summary(run)["ok"]
    assert len(agents(pod)) == 1
    check(pod)


def test_of_five_submits_of_one_run_id_one_is_taken(pod: FaultPod, links: list[PodSide]) -> None:
    for link in links:
        link.send(id=7, op="submit", spec=pod.spec("--lines 3", run_id="same"))
    answers = [link.wait_for(lambda frame: frame.header.get("id") == 7).header for link in links]
    assert sorted(answer["ok"] for answer in answers) == [False, False, False, False, True]
    assert {answer["error"]["code"] for answer in answers if not answer["ok"]} == {"exists"}
    pod.runs.append(RunDir(str(pod.outputs / "same")))
    assert pod.summary(pod.runs[0])["ok"]
    check(pod)


def test_of_agents_started_together_one_stays_and_each_run_starts_once(pod: FaultPod) -> None:
    first = pod.started(gpus={"all": True})
    for _ in range(3):
        pod.submit("--lines 3", gpus={"count": 2})
    killed = pod.agent()
    kill(killed)
    eventually(lambda: killed not in agents(pod))
    started = [subprocess.Popen(program.command("agent"), start_new_session=True) for _ in range(4)]
    eventually(lambda: sum(one.poll() is None for one in started) <= 1, "the end of all but one")
    pod.finish(first)
    for run in pod.runs:
        assert pod.summary(run)["ok"]
    assert len(agents(pod)) == 1
    check(pod)
    for one in started:
        one.kill()
        one.wait()


def test_an_agent_that_many_start_at_once_lives_in_its_own_tmux_session(pod: FaultPod) -> None:
    pod.started()
    killed = pod.agent()
    kill(killed)
    eventually(lambda: killed not in agents(pod))
    code = (
        "import sys; sys.argv = sys.argv[1:]; from podops_runners import agent_process; agent_process.ensure_running()"
    )
    words = [sys.executable, "-c", code, str(pod.pyz)]
    for starter in [subprocess.Popen(words) for _ in range(5)]:
        assert starter.wait() == 0
    panes = ["tmux", "-L", agent_process.socket(), "list-panes", "-a", "-F", "#{pane_pid}"]
    assert subprocess.run(panes, capture_output=True, text=True).stdout.split() == [str(pod.agent())]
    pod.finish(pod.runs[0])
    check(pod)


def test_of_supervisors_started_together_for_one_run_one_works(pod: FaultPod) -> None:
    run = pod.started()
    token = pod.claim(run)["token"]
    others = [subprocess.Popen(program.command("supervise", run.path, token)) for _ in range(3)]
    assert [other.wait() for other in others] == [3, 3, 3]
    pod.finish(run)
    assert pod.summary(run)["ok"]
    check(pod)


def test_eight_runs_on_eight_gpus_work_at_once_each_on_its_own(pod: FaultPod) -> None:
    pod.simulate_gpus = 8
    for _ in range(8):
        pod.submit(gpus={"count": 1})
    eventually(lambda: len([1 for run in pod.runs if pod.told(run)]) == 8, "all of them at once")
    for run in pod.runs:
        pod.finish(run)
    check(pod)
    given = [told_by(path).gpus for path in pod.witness.glob("*.told")]
    assert sorted(given, key=min) == [frozenset({index}) for index in range(8)]
