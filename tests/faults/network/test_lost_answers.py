"""A request whose answer was lost on the way has been done once when it is over, and not twice."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable

import pytest

from podops.errors import UnreachableError
from podops.fleet.fleet import Fleet
from tests.faults.network.bad_network import BadNetwork
from tests.pods.conftest import MakeProject, Ops, StartOps
from tests.pods.fleet_config import end_by_hand, fleet_config, hand_made_run, shows, submit_plan
from tests.pods.loopback import SshPod, wait_for

Behind = tuple[SshPod, BadNetwork]


def events(pod: SshPod, run_id: str) -> list[str]:
    file = pod.outputs_dir / run_id / "events.jsonl"
    return [json.loads(line)["event"] for line in file.read_text().splitlines()] if file.exists() else []


async def losing_the_answer(
    network: BadNetwork, asking: Callable[[], Awaitable[dict[str, object]]], done: Callable[[], bool]
) -> dict[str, object]:
    """Ask, cut the connection once the pod has done it and before its answer arrives, and return the final answer."""
    network.hold_answers()
    answer = asyncio.ensure_future(asking())
    await asyncio.to_thread(wait_for, done, "the pod to do it")
    network.let_answers_through()
    assert network.reset()
    return await answer


async def test_submit_hold_and_kill_are_done_once(pod_behind: Behind, tmux_socket: str) -> None:
    pod, network = pod_behind
    config = fleet_config(pod, tmux_socket=tmux_socket)
    async with Fleet(config) as fleet:
        await fleet.settled(15)
        plan = submit_plan(config, "pod", "r", "echo begun; sleep 600")
        answer = await losing_the_answer(network, lambda: fleet.submit(plan), lambda: "started" in events(pod, "r"))
        assert answer["run_id"] == "r"

        held = submit_plan(config, "pod", "later", "true")
        held.spec["queue"] = {"hold": True}
        await fleet.submit(held)
        asking = lambda: fleet.queue("pod", "later", "release")  # noqa: E731
        await losing_the_answer(network, asking, lambda: "released" in events(pod, "later"))

        asking = lambda: fleet.kill("pod", "r", grace_s=1)  # noqa: E731
        await losing_the_answer(network, asking, lambda: "kill_requested" in events(pod, "r"))
        await shows(fleet, "pod", lambda seen: seen.runs["r"].ended and seen.runs["later"].ended, "both ends")
    assert (pod.outputs_dir / "r/stdout.log").read_bytes().count(b"begun\n") == 1
    for run_id, event in (("r", "submitted"), ("r", "kill_requested"), ("later", "released")):
        assert events(pod, run_id).count(event) == 1


async def test_a_change_on_a_broken_link_is_told_as_unconfirmed_within_the_time_limit(
    pod_behind: Behind, tmux_socket: str
) -> None:
    pod, network = pod_behind
    config = fleet_config(pod, tmux_socket=tmux_socket)
    async with Fleet(config, answer_timeout=3.0) as fleet:
        await fleet.settled(60)
        network.stop()
        begun = time.monotonic()
        with pytest.raises(UnreachableError, match="did not confirm run r") as caught:
            await fleet.submit(submit_plan(config, "pod", "r", "true"))
        assert time.monotonic() - begun < 12.0, "by itself it would have been a minute"
        assert caught.value.error_code == "unconfirmed"


async def test_ops_says_within_its_timeout_that_a_pod_does_not_answer(
    pod_behind: Behind, project: MakeProject, ops: Ops
) -> None:
    pod, network = pod_behind
    project(pod)
    network.stop()
    begun = time.monotonic()
    done = await asyncio.to_thread(ops, "--timeout", "2", "run", "status", "some-run")
    took = time.monotonic() - begun
    # What is left of two seconds once the command itself has started.
    said = re.search(r"did not answer within (\d(?:\.\d)?) s", done.stderr)
    assert done.returncode == 4 and said and 0 < float(said[1]) <= 2, done.stderr
    assert took < 14.0, "by itself it would have been 15 seconds and more"


async def test_ops_that_follows_a_log_says_that_the_link_broke_and_prints_every_byte_all_the_same(
    pod_behind: Behind, project: MakeProject, start_ops: StartOps
) -> None:
    pod, network = pod_behind
    project(pod)
    log = hand_made_run(pod.outputs_dir, "long")
    log.write_bytes(b"first\n")
    tail = start_ops("--timeout", "4", "run", "tail", "-f", "long")
    assert await asyncio.to_thread(tail.read_line) == b"first\n"
    network.stop()
    with log.open("ab") as stream:
        stream.write(b"second\n")
    await asyncio.to_thread(wait_for, lambda: "pod pod does not answer" in tail.stderr, "the word of the break")
    network.go()
    assert await asyncio.to_thread(tail.read_line) == b"second\n"
    await asyncio.to_thread(wait_for, lambda: "pod pod answers again" in tail.stderr, "the word of its end")
    end_by_hand(log)
    assert await asyncio.to_thread(tail.rest) == b""
    assert tail.process.returncode == 0
