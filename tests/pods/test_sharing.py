"""What a user can rely on while the app or `ops watch` holds links: commands use them, and need none of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podops.config.identity import pod_identity
from podops.config.load import load_project
from tests.pods.conftest import MakeProject, MakeSshPod, Ops, StartOps
from tests.pods.loopback import SshPod, link_processes, wait_for
from tests.pods.ops_process import PipedOps

TICKS = "i=0; until [ -e {go} ]; do i=$((i+1)); echo tick $i; sleep 0.02; done; echo the end"
ALONE = {"OPS_NO_SHARE": "1"}


@pytest.fixture
def pod(ssh_pod: MakeSshPod, project: MakeProject, world: Path) -> SshPod:
    pod = ssh_pod("a100")
    presets = {
        "say": {"kind": "command", "command": "echo hello"},
        "much": {"kind": "command", "command": "seq -f 'much %g' 20000"},
        "ticks": {"kind": "command", "command": TICKS.format(go=world / "go")},
    }
    project(pod, presets=presets)
    return pod


@pytest.fixture
def watch(start_ops: StartOps, pod: SshPod) -> PipedOps:
    """`ops watch`, with its pod live."""
    holder = start_ops("watch")
    holder.read_until(b"live")
    return holder


def sockets(home: Path) -> list[Path]:
    return list((home / ".local/state/podops").glob("run-*/*.sock"))


def test_every_command_works_over_the_link_of_a_watch_and_logs_in_nowhere(
    ops: Ops, start_ops: StartOps, watch: PipedOps, pod: SshPod, world: Path, client_home: Path
) -> None:
    (link,) = link_processes(pod.home)
    before = pod.logins()
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1").returncode == 0
    # What one command has done, the next one knows.
    assert [run["run_id"] for run in ops("run", "list", "--json").json["runs"]] == ["r1"]
    tail = start_ops("run", "tail", "-f", "-n", "100000", "r1")
    assert tail.read_line() == b"tick 1\n"
    status = ops("run", "status", "r1", "--json")
    assert (status.returncode, status.json["source"]) == (0, "pod")
    assert status.json["state"] in ("starting", "running")
    assert status.json["stdout_tail"][0].startswith("tick ")
    assert ops("status", "--json").json["pods"][0]["state"] == "live"
    assert ops("pod", "status", "a100", "--json").json["pod"]["host"]["python"]
    wait = start_ops("run", "wait", "r1")
    (world / "go").touch()
    rest = tail.rest()
    assert b"tick 1\n" + rest == (pod.outputs_dir / "r1/stdout.log").read_bytes() and rest.endswith(b"the end\n")
    wait.rest()
    assert wait.process.returncode == 0
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1", "--json").json["error"]["code"] == "exists"
    assert ops("run", "status", "none").returncode == 3
    assert link_processes(pod.home) == [link] and pod.logins() == before
    shared, alone = (ops("run", "status", "r1", "--json", env=env).json for env in ({}, ALONE))
    assert pod.logins() == before + 1
    for told in (shared, alone):
        told["heartbeat"].pop("age_s")
    assert shared == alone and shared["state"] == "succeeded"


def test_a_run_that_is_submitted_anew_is_known_to_the_next_command(
    ops: Ops, watch: PipedOps, pod: SshPod, world: Path
) -> None:
    assert ops("run", "submit", "--preset", "much", "--run-id", "r1").returncode == 0
    assert ops("run", "wait", "r1").returncode == 0
    assert [run["state"] for run in ops("run", "list", "--json").json["runs"]] == ["succeeded"]
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1", "--force").returncode == 0
    (run,) = ops("run", "list", "--json").json["runs"]
    assert (run["preset"], run["state"] in ("starting", "running")) == ("ticks", True)
    wait_for((pod.outputs_dir / "r1/stdout.log").exists, "its log")
    told = ops("run", "tail", "r1")
    assert told.returncode == 0 and "much" not in told.stdout
    (world / "go").touch()


_LOADED = """
import os, sys
from podops.cli.main import main
try: main(sys.argv[1:])
except SystemExit as end: assert not end.code, end.code
sys.stderr.write(" ".join(sys.modules))
"""


def test_a_question_about_one_run_loads_neither_engine_nor_event_loop(
    ops: Ops, watch: PipedOps, ops_env: Callable[..., dict[str, str]], world: Path
) -> None:
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1").returncode == 0
    words = [sys.executable, "-c", _LOADED, "run", "status", "r1"]
    done = subprocess.run(words, cwd=world / "project", env=ops_env(), capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("r1  "), done.stderr
    loaded = set(done.stderr.split())
    assert "podops.sharing.ask" in loaded
    assert not loaded & {"asyncio", "asyncssh", "yaml", "sqlite3", "podops.config.load", "podops.fleet.fleet"}


def test_the_socket_is_for_this_user_and_project_alone_and_goes_with_its_holder(
    ops: Ops, start_ops: StartOps, watch: PipedOps, pod: SshPod, world: Path, client_home: Path
) -> None:
    (path,) = sockets(client_home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    second = start_ops("watch")
    second.rest()
    assert second.process.returncode == 5 and "already" in second.stderr
    # A project file that has changed is another project: nobody who holds the old one is asked.
    before = pod.logins()
    file = world / "project/configs/ops/project.yaml"
    content = yaml.safe_load(file.read_text())
    content["pods"] = {"other": content["pods"]["a100"]}
    file.write_text(yaml.safe_dump(content))
    assert [found["name"] for found in ops("pod", "list", "--json").json["pods"]] == ["other"]
    assert pod.logins() == before + 1
    watch.process.send_signal(signal.SIGTERM)
    watch.rest()
    assert watch.process.returncode == 0 and not list(path.parent.iterdir())


def test_a_link_is_not_shared_once_ssh_itself_would_go_elsewhere(
    ops: Ops, start_ops: StartOps, pod: SshPod, world: Path
) -> None:
    included, there = world / "included", world / "elsewhere"
    included.write_text(f'Match exec "test -e {there}"\n  User nobody-of-that-name\n')
    pod.ssh_config.write_text(f"Include {included}\n" + pod.ssh_config.read_text())
    start_ops("watch").read_until(b"live")
    before = pod.logins()
    assert ops("pod", "list", "--json").json["pods"][0]["state"] == "live" and pod.logins() == before
    there.touch()
    assert ops("pod", "list", "--json").json["pods"][0]["state"] == "refused"
    there.unlink()
    assert ops("pod", "list", "--json").json["pods"][0]["state"] == "live" and pod.logins() == before
    included.write_text("# Nothing decides any more, and whoever has read this knows of no holder.\n")
    assert ops("pod", "list", "--json").json["pods"][0]["state"] == "live" and pod.logins() > before


def test_a_holder_that_dies_ends_no_command(
    ops: Ops, start_ops: StartOps, watch: PipedOps, pod: SshPod, world: Path, client_home: Path
) -> None:
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1").returncode == 0
    tail = start_ops("run", "tail", "-f", "-n", "100000", "r1")
    wait = start_ops("run", "wait", "r1", "--json")
    first = tail.read_line()
    wait.read_line()
    watch.process.kill()
    watch.process.wait()
    assert sockets(client_home), "nobody has removed what it left"
    assert ops("run", "status", "r1", "--json").json["state"] in ("starting", "running")
    (world / "go").touch()
    assert first + tail.rest() == (pod.outputs_dir / "r1/stdout.log").read_bytes()
    wait.rest()
    assert wait.process.returncode == 0
    for command in (tail, wait):
        assert command.stderr.count("pod a100 does not answer: the connection was lost: the process that shared") == 1
    again = start_ops("watch")
    again.read_until(b"live")
    assert len(sockets(client_home)) == 1


def test_a_link_that_its_holder_loses_costs_a_command_no_byte(
    ops: Ops, start_ops: StartOps, watch: PipedOps, pod: SshPod, world: Path
) -> None:
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1").returncode == 0
    tail = start_ops("run", "tail", "-f", "-n", "100000", "r1")
    first = b"".join(tail.read_line() for _ in range(10))
    assert pod.kill_sessions()
    first += b"".join(tail.read_line() for _ in range(100))
    (world / "go").touch()
    assert first + tail.rest() == (pod.outputs_dir / "r1/stdout.log").read_bytes()
    assert tail.process.returncode == 0


def test_a_link_that_is_silent_for_its_holder_is_not_shared(ops: Ops, watch: PipedOps, pod: SshPod) -> None:
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1").returncode == 0
    (link,) = link_processes(pod.home)
    os.kill(link, signal.SIGSTOP)
    try:
        # Lost at once where this machine's network has changed meanwhile.
        while b"stale" not in (line := watch.read_line()) and b"unreachable" not in line:
            assert line, watch.stderr
        told = ops("run", "status", "r1", "--json")
        assert told.returncode == 0 and told.json["source"] == "pod"
    finally:
        os.kill(link, signal.SIGCONT)


def test_a_holder_that_hangs_is_passed_over(ops: Ops, watch: PipedOps, pod: SshPod) -> None:
    watch.process.send_signal(signal.SIGSTOP)
    try:
        listed = ops("run", "list", "--json")
        assert listed.returncode == 0 and listed.json["unreachable"] == []
        assert ops("run", "status", "none").returncode == 3
        checks = {check["what"]: check for check in ops("doctor", "--json").json["checks"]}
        told, pid = checks["shared links"], watch.process.pid
        assert told["level"] == "warn" and f"process {pid} holds them and does not answer" in told["message"]
        assert f"kill -CONT {pid}" in told["hint"]
    finally:
        watch.process.send_signal(signal.SIGCONT)


@pytest.fixture
def impostor(watch: PipedOps, client_home: Path) -> Iterator[list[bytes]]:
    """In the holder's place somebody who says nothing sensible; what it was asked."""
    (path,) = sockets(client_home)
    watch.process.kill()
    watch.process.wait()
    path.unlink()
    asked: list[bytes] = []
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(1000))
                    connection.sendall(b"{]\n" * 100)

        threading.Thread(target=serve, daemon=True).start()
        yield asked
        server.shutdown(socket.SHUT_RDWR)


def test_nonsense_from_the_socket_is_passed_over(ops: Ops, impostor: list[bytes], pod: SshPod) -> None:
    assert ops("run", "list", "--json").json["unreachable"] == []
    assert ops("run", "status", "none").returncode == 3
    assert len(impostor) >= 2


def test_a_watch_remembers_how_runs_end_also_when_nobody_asked(
    ops: Ops, watch: PipedOps, pod: SshPod, start_ops: StartOps
) -> None:
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1").returncode == 0
    assert ops("run", "wait", "r1").returncode == 0
    wait_for((pod.outputs_dir / "r1/summary.json").exists, "the end")
    watch.process.send_signal(signal.SIGTERM)
    watch.rest()
    pod.stop()
    told = ops("run", "status", "r1", "--json")
    assert told.returncode == 4 and told.json["source"] == "history"
    assert (told.json["state"], told.json["stdout_tail"]) == ("succeeded", ["hello"])
    assert told.json["summary"]["ok"] is True


WANTS = st.sampled_from([{"want": "link", "pod": "a100"}, {"want": "run", "run": "r1"}, {"want": "name"}, {}])
REQUESTS = st.dictionaries(
    st.sampled_from("id op sub offset conn run_id window from within payload on_answer self bytes".split()),  # noqa: SIM905
    st.sampled_from(["unfollow", "ack", "close", "data", "follow", "hello", "rate", "read", "open", "r1", "x" * 3000])
    | st.integers(-2, 3)
    | st.none()
    | st.lists(st.text(max_size=3), max_size=2),
)


#: Another's log ended or held up, our own words as fields, and a header that is too long once it is written anew.
HOSTILE: list[dict[str, Any]] = [
    *({"id": 2, "op": "unfollow", "sub": sub} for sub in range(4)),
    {"id": 2, "op": "read", "run_id": "r1", "self": 1, "within": 0, "on_answer": 1},
    {"op": "ack", "payload": 1},
    {"id": 2, "op": "ping", "sent_as": {}},
    *({"id": 2, "op": "read", "run_id": "r1", "sent_as": number} for number in range(9)),
    {"id": 2, "op": "read", "run_id": "é" * 3_000_000},
]


def test_whatever_a_client_says_the_holder_and_its_other_clients_go_on(
    ops: Ops, start_ops: StartOps, watch: PipedOps, pod: SshPod, world: Path, client_home: Path
) -> None:
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1").returncode == 0
    tail = start_ops("run", "tail", "-f", "-n", "100000", "r1")
    first = tail.read_line()
    (path,) = sockets(client_home)
    (shared,) = load_project(path=world / "project/configs/ops/project.yaml", environ={}).pods.values()
    (link,), before = link_processes(pod.home), pod.logins()

    def tell(want: dict[str, Any], requests: list[dict[str, Any]], rest: bytes) -> None:
        if "pod" in want:
            want = want | {"identity": pod_identity(shared)}
        with socket.socket(socket.AF_UNIX) as client:
            folder = os.open(path.parent, os.O_RDONLY)
            client.connect(f"/proc/self/fd/{folder}/{path.name}")
            os.close(folder)
            client.settimeout(0.3)
            with contextlib.suppress(OSError):
                lines = (json.dumps(one, ensure_ascii=False).encode() for one in (want, *requests))
                client.sendall(b"".join(line + b"\n" for line in lines) + rest)
                while client.recv(100_000):
                    pass

    for request in HOSTILE:
        tell({"want": "link", "pod": "a100"}, [{"id": 1, "op": "hello"}, request], b"")

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(want=WANTS, requests=st.lists(REQUESTS, max_size=6), rest=st.binary(max_size=20))
    def say(want: dict[str, Any], requests: list[dict[str, Any]], rest: bytes) -> None:
        tell(want, requests, rest)

    say()
    (world / "go").touch()
    assert first + tail.rest() == (pod.outputs_dir / "r1/stdout.log").read_bytes()
    assert ops("run", "status", "r1", "--json").json["source"] == "pod"
    assert link_processes(pod.home) == [link] and pod.logins() == before
    assert watch.process.poll() is None and not watch.stderr.count("Traceback")
