"""What a user can rely on from a fleet: every pod seen at once, none in the way of another, nothing lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time
from pathlib import Path

import pytest

from podops.config.model import PodConfig
from podops.errors import NotFoundError, RefusedActionError, UnreachableError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot
from tests.pods.conftest import MakeSshPod
from tests.pods.fleet_config import end_by_hand, fleet_config, hand_made_run, shows, submit_plan
from tests.pods.loopback import link_processes


def live(pod: PodSnapshot) -> bool:
    return pod.state == "live"


def is_running(pod: PodSnapshot, run_id: str) -> bool:
    return run_id in pod.runs and pod.runs[run_id].state == "running"


async def test_ssh_and_local_pods_are_live_with_samples_that_keep_coming(ssh_pod: MakeSshPod) -> None:
    async with Fleet(fleet_config(ssh_pod("far"), "near")) as fleet:
        await fleet.settled(15)
        for name in ("far", "near"):
            first = await shows(fleet, name, lambda pod: pod.sample is not None, "a sample")
            assert first.state == "live" and first.host.python and first.host.cpu_count
            before = first.sample
            assert before is not None
            await shows(fleet, name, lambda pod, at=before: pod.sample != at, "a second sample")  # type: ignore[misc]


@pytest.mark.parametrize("by", [3600.0, -3600.0], ids=["forward", "back"])
async def test_a_clock_that_is_set_here_makes_up_no_age_and_no_wait(
    ssh_pod: MakeSshPod, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    down, true_time = ssh_pod("down"), time.time
    down.stop()
    async with Fleet(fleet_config(down)) as fleet:
        await fleet.settled(15)
        before = fleet.snapshot.pods["down"]
        monkeypatch.setattr(time, "time", lambda: true_time() + by)
        told = await shows(fleet, "down", lambda pod: abs(pod.since - before.since) > 1000, "the other time")
        assert abs(told.since - time.time()) < 60
        again = await shows(fleet, "down", lambda pod: pod.retry_at is not None, "a wait")
        assert again.retry_at is not None and -60 < again.retry_at - time.time() < 120


async def test_a_pod_counts_as_listed_only_when_every_one_of_its_many_runs_is_known(client_home: Path) -> None:
    for number in range(450):
        hand_made_run(client_home / "runs", f"run-{number:03}")
    async with Fleet(fleet_config("near")) as fleet:
        await fleet.settled(20)
        near = fleet.snapshot.pods["near"]
        assert (near.state, near.listed, len(near.runs)) == ("live", True, 450)


async def test_a_pod_that_is_down_is_listed_with_the_reason_while_the_other_is_live(
    ssh_pod: MakeSshPod,
) -> None:
    down = ssh_pod("down")
    down.stop()
    async with Fleet(fleet_config(down, "near")) as fleet:
        await fleet.settled(15)
        seen = fleet.snapshot.pods
        assert seen["near"].state == "live"
        assert seen["down"].state == "unreachable" and "refused the connection" in seen["down"].reason
        assert seen["down"].retry_at is not None
        with pytest.raises(UnreachableError, match="refused the connection"):
            await fleet.run_records("down", "any")
        down.start()
        fleet.retry("down")
        await shows(fleet, "down", live, "the pod to be live again")


async def test_a_pod_that_hangs_delays_no_other(client_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hung = PodConfig("hung", ssh="root@127.0.0.1", port=deaf.getsockname()[1], outputs_dir="~/runs")
        async with Fleet(fleet_config(hung, "near"), connect_timeout=120.0) as fleet:
            await shows(fleet, "near", live, "the other pod to be live")
            assert fleet.snapshot.pods["hung"].state == "connecting"
        async with Fleet(fleet_config(hung), connect_timeout=1.0) as fleet:
            failed = await shows(fleet, "hung", lambda pod: pod.state == "unreachable", "the time-out")
            assert "did not answer within 1 s" in failed.reason


async def test_a_pod_that_refuses_is_not_asked_again_until_told(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    keys = pod.root / "authorized_keys"
    accepted = keys.read_text()
    keys.write_text("")
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        seen = fleet.snapshot.pods["pod"]
        assert seen.state == "refused" and seen.hint
        assert seen.retry_at is None
        keys.write_text(accepted)
        fleet.retry("pod")
        await shows(fleet, "pod", live, "the pod to accept the key")


async def test_a_pod_whose_host_key_gets_known_is_live_without_another_word(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    known = pod.known_hosts.read_text()
    pod.known_hosts.write_text("")
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        assert fleet.snapshot.pods["pod"].state == "refused"
        pod.known_hosts.write_text(known)
        await shows(fleet, "pod", live, "the pod to be trusted")


async def test_runs_on_the_volume_appear_and_go(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    hand_made_run(pod.outputs_dir, "made-before")
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        assert set(fleet.snapshot.pods["pod"].runs) == {"made-before"}
        log = hand_made_run(pod.outputs_dir, "made-after")
        await shows(fleet, "pod", lambda seen: "made-after" in seen.runs, "the new run")
        end_by_hand(log)
        await shows(fleet, "pod", lambda seen: seen.runs["made-after"].state == "succeeded", "its end")
        with pytest.raises(NotFoundError):
            await fleet.run_records("pod", "never-made")
        with pytest.raises(NotFoundError):
            async with fleet.follow("pod", "never-made"):
                pass


async def test_a_log_stream_is_byte_identical_across_lost_connections(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    log = hand_made_run(pod.outputs_dir, "long")
    noise = random.Random(7)
    written = bytearray()

    async def write() -> None:
        for _ in range(60):
            data = noise.randbytes(noise.randrange(1, 60_000))
            written.extend(data)
            with log.open("ab") as stream:
                stream.write(data)
            await asyncio.sleep(0.03)
        end_by_hand(log)

    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(60)
        received = bytearray()
        cuts = [200_000, 700_000]
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            async with fleet.follow("pod", "long", offset=0, lossless=True) as stream:
                async for chunk in stream:
                    assert chunk.offset == len(received) and not chunk.skipped
                    received += chunk.data
                    stream.ack(len(received))
                    if cuts and len(received) > cuts[0]:
                        cuts.pop(0)
                        assert pod.kill_sessions()
        assert received == written and not cuts


async def test_a_log_replaced_while_its_pod_was_away_is_followed_from_its_beginning(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    log = hand_made_run(pod.outputs_dir, "again")
    log.write_bytes(b"OLD line\n" * 200)
    spec = log.with_name("run_spec.json")
    spec.write_text('{"request_id": "first-submit"}')
    async with Fleet(fleet_config(pod)) as fleet:
        await fleet.settled(15)
        async with asyncio.timeout(60), fleet.follow("pod", "again", offset=0, lossless=True) as stream:
            old = await anext(aiter(stream))
            assert old.data == log.read_bytes() and not old.anew
            pod.stop()
            await shows(fleet, "pod", lambda seen: seen.state == "unreachable", "the pod to be away")
            log.rename(log.with_name("stdout.log.bak"))
            spec.write_text('{"request_id": "second-submit"}')
            log.write_bytes(b"new line\n" * 500)
            end_by_hand(log)
            pod.start()
            fleet.retry("pod")
            received = b""
            async for chunk in stream:
                assert (chunk.offset, chunk.anew) == (len(received), not received)
                received += chunk.data
        assert received == log.read_bytes()


@pytest.mark.parametrize("pod_name", ["far", "near"])
async def test_a_run_is_submitted_followed_to_its_end_and_another_killed(
    ssh_pod: MakeSshPod, tmux_socket: str, pod_name: str
) -> None:
    config = fleet_config(ssh_pod("far"), "near", tmux_socket=tmux_socket)
    async with Fleet(config) as fleet:
        plan = submit_plan(config, pod_name, "short", "echo first; sleep 1; echo last")
        assert (await fleet.submit(plan))["run_id"] == "short"
        async with fleet.follow(pod_name, "short", offset=0) as stream:
            text = b"".join([chunk.data async for chunk in stream])
        assert text == b"first\nlast\n"
        await shows(fleet, pod_name, lambda pod: pod.runs["short"].state == "succeeded", "its success")

        with pytest.raises(RefusedActionError):
            await fleet.submit(plan)

        await fleet.submit(submit_plan(config, pod_name, "long", "sleep 600"))
        await shows(fleet, pod_name, lambda pod: is_running(pod, "long"), "the run to run")
        await fleet.kill(pod_name, "long", grace_s=2)
        seen = await shows(fleet, pod_name, lambda pod: pod.runs["long"].ended, "its end")
        assert (seen.runs["long"].state, seen.runs["long"].reason) == ("cancelled", "user_kill")


async def test_a_change_whose_answer_is_lost_is_asked_again_and_done_once(
    ssh_pod: MakeSshPod, tmux_socket: str
) -> None:
    pod = ssh_pod()
    config = fleet_config(pod, tmux_socket=tmux_socket)
    async with Fleet(config) as fleet:
        await fleet.settled(15)
        for process in link_processes(pod.home):
            os.kill(process, signal.SIGSTOP)
        submit = asyncio.create_task(fleet.submit(submit_plan(config, "pod", "r", "sleep 600")))
        await asyncio.sleep(0.2)
        for process in link_processes(pod.home):
            os.kill(process, signal.SIGKILL)
        assert (await submit)["run_id"] == "r"
        await shows(fleet, "pod", lambda seen: is_running(seen, "r"), "the run to run")
        lines = (pod.outputs_dir / "r/events.jsonl").read_text().splitlines()
        assert sum('"submitted"' in line for line in lines) == 1
        await fleet.kill("pod", "r", grace_s=1)


async def test_a_change_that_stays_without_an_answer_is_told_as_unconfirmed(
    ssh_pod: MakeSshPod, tmux_socket: str
) -> None:
    pod = ssh_pod()
    config = fleet_config(pod, tmux_socket=tmux_socket)
    async with Fleet(config, answer_timeout=2.0) as fleet:
        await fleet.settled(15)
        for process in link_processes(pod.home):
            os.kill(process, signal.SIGSTOP)
        submit = asyncio.create_task(fleet.submit(submit_plan(config, "pod", "r", "true")))
        await asyncio.sleep(0)
        for process in link_processes(pod.home):
            os.kill(process, signal.SIGKILL)
        pod.stop()
        with pytest.raises(UnreachableError, match="did not confirm run r") as caught:
            await submit
        assert caught.value.error_code == "unconfirmed" and "ops run status r" in caught.value.hint


async def test_a_log_is_waited_for_as_long_as_somebody_waits_for_an_answer(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    hand_made_run(pod.outputs_dir, "r")
    async with Fleet(fleet_config(pod), answer_timeout=2.0) as fleet:
        await fleet.settled(60)
        (link,) = link_processes(pod.home)
        os.kill(link, signal.SIGSTOP)
        try:
            with pytest.raises(UnreachableError, match="did not answer `follow` within 2 s"):
                async with fleet.follow("pod", "r"):
                    pass
        finally:
            os.kill(link, signal.SIGCONT)


async def test_a_file_is_read_by_range(client_home: Path) -> None:
    hand_made_run(client_home / "runs", "r").write_bytes(b"0123456789")
    async with Fleet(fleet_config("near")) as fleet:
        assert await fleet.read("near", "r", "stdout.log", offset=4, length=3) == (4, 10, b"456")


async def test_leaving_ends_every_link_within_two_seconds(ssh_pod: MakeSshPod, client_home: Path) -> None:
    pod = ssh_pod()
    begun = time.monotonic()
    async with Fleet(fleet_config(pod, "near")) as fleet:
        await fleet.settled(15)
        assert link_processes(pod.home) and link_processes(client_home)
        # Where coming takes longer than that, so may leaving.
        within = max(2.0, time.monotonic() - begun)
        begun = time.monotonic()
    assert time.monotonic() - begun < within
    assert not link_processes(client_home)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_pod_can_be_left_while_it_is_connecting(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod()
    for delay in (0.0, 0.05, 0.1, 0.2):
        async with Fleet(fleet_config(pod)):
            await asyncio.sleep(delay)
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_pod_the_project_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no pod 'h200'"):
        Fleet(fleet_config("near"), pods=["h200"])
