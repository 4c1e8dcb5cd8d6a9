"""`ops pod forward`: a service's port on this machine, through the link, over every transport."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pods import tcp_service
from tests.pods.conftest import MakeProject, MakeSshPod, Ops, StartOps
from tests.pods.loopback import POD_PATH, SshPod, link_processes, wait_for
from tests.pods.ops_process import PipedOps
from tests.pods.pod_side import VERSIONS

SERVICE = f"exec {sys.executable} {tcp_service.__file__} {{port}}"
PRESETS = {
    "tcp": {
        "kind": "command",
        "command": SERVICE,
        "service": {"port": "auto", "health": "/"},
        "grace": "1s",
        "retries": {"max": 3, "on": ["signal"], "backoff": "100ms"},
    },
    "slow": {
        "kind": "command",
        "command": f"until [ -e $OPS_RUN_DIR/go ]; do sleep 0.1; done; {SERVICE}",
        "service": {"port": "auto", "health": "/"},
        "grace": "1s",
    },
    "hello": {"kind": "command", "command": "sleep 1000"},
}
MB = 1024 * 1024


@dataclass(frozen=True)
class Forwarded:
    """A run behind `ops pod forward --json`."""

    process: PipedOps
    runs: Path
    home: Path
    ssh: SshPod | None

    def told(self, event: str) -> dict[str, Any]:
        """The next line about `event`."""
        while line := self.process.read_line():
            found: dict[str, Any] = json.loads(line)
            assert "event" in found, found
            if found["event"] == event:
                return found
        raise AssertionError(f"it ended before it told {event!r}: {self.process.stderr}")


Forward = Callable[..., Forwarded]


@pytest.fixture(params=["local", "ssh"])
def forward(
    request: pytest.FixtureRequest,
    ssh_pod: MakeSshPod,
    project: MakeProject,
    ops: Ops,
    start_ops: StartOps,
    client_home: Path,
) -> Forward:
    """Submit a preset as run `api` on a pod of this transport and forward its port: `forward("tcp", "--port", "0")`."""
    ssh = ssh_pod("here") if request.param == "ssh" else None
    project(ssh or "here", presets=PRESETS)
    home = ssh.home if ssh else client_home

    def start(preset: str = "tcp", *words: str) -> Forwarded:
        submitted = ops("run", "submit", "--preset", preset, "--pod", "here", "--run-id", "api")
        assert submitted.returncode == 0, submitted
        return Forwarded(start_ops("pod", "forward", "api", "--json", *words), home / "runs", home, ssh)

    return start


OVER_SSH = pytest.mark.parametrize("forward", ["ssh"], indirect=True)


def connect(port: int, first: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.sendall(first + b"\n")
    return connection


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(MB):
        data += piece
    return data


def echoed(port: int, data: bytes) -> bytes:
    """What comes back when `data` is sent while it is read."""
    with connect(port, b"echo") as connection:

        def send() -> None:
            with contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        answer = read_all(connection)
        sender.join()
    return answer


def answers(port: int) -> bool:
    try:
        return echoed(port, b"again") == b"again"
    except OSError:
        return False


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_every_byte_arrives_both_ways_over_many_connections_at_once(forward: Forward) -> None:
    port = forward().told("listening")["port"]
    data = [os.urandom(200_000) for _ in range(60)]
    with ThreadPoolExecutor(60) as pool:
        assert list(pool.map(lambda piece: echoed(port, piece), data)) == data


@OVER_SSH
def test_hundreds_of_connections_can_be_open_at_once(forward: Forward) -> None:
    port = forward().told("listening")["port"]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(port, b"echo")) for _ in range(300)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%04d" % number)
        assert [connection.recv(4, socket.MSG_WAITALL) for connection in connections] == [
            b"%04d" % number for number in range(300)
        ]


def test_one_side_can_be_done_while_the_other_goes_on(forward: Forward) -> None:
    port = forward().told("listening")["port"]
    with connect(port, b"count") as connection:
        connection.sendall(b"x" * 5 * MB)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"%d\n" % (5 * MB)


@OVER_SSH
def test_whoever_does_not_read_holds_up_nobody_else_and_fills_no_memory(forward: Forward) -> None:
    one = forward()
    port = one.told("listening")["port"]
    with connect(port, b"hold") as deaf, connect(port, b"send %d" % (400 * MB)) as unread:
        deaf.settimeout(2)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += deaf.send(b"x" * MB)
        assert sent < 40 * MB
        assert echoed(port, b"still here" * 100_000) == b"still here" * 100_000
        links = link_processes(one.home)
        assert links and max(map(resident_bytes, [*links, one.process.process.pid])) < 150 * MB
        total = 0
        while piece := unread.recv(MB):
            total += len(piece)
        assert total == 400 * MB


def test_it_waits_for_the_service_tells_so_and_ends_with_the_run(forward: Forward, ops: Ops) -> None:
    one = forward("slow")
    waiting = one.told("run")
    assert waiting["state"] in ("starting", "running")
    (one.runs / "api/go").touch()
    told = one.told("listening")
    assert told["url"] == f"http://127.0.0.1:{told['port']}"
    assert echoed(told["port"], b"hello") == b"hello"
    assert ops("run", "kill", "api", "--yes").returncode == 0
    assert one.told("ended")["state"] == "cancelled"
    assert one.process.process.wait(30) == 0


@OVER_SSH
def test_a_lost_link_resets_what_is_open_and_the_port_works_again_after_it(forward: Forward) -> None:
    one = forward()
    port = one.told("listening")["port"]
    assert one.ssh is not None
    with connect(port, b"echo") as open_one:
        open_one.sendall(b"x")
        assert open_one.recv(1) == b"x"
        assert one.ssh.kill_sessions() > 0
        with pytest.raises(ConnectionResetError):
            open_one.recv(1)
    assert one.told("link")["state"] != "live"
    while one.told("link")["state"] != "live":
        pass
    assert echoed(port, b"again") == b"again"


@pytest.mark.parametrize("forward", ["local"], indirect=True)
def test_a_restarted_service_is_reached_through_the_same_port(forward: Forward) -> None:
    one = forward()
    told = one.told("listening")
    assert told["port"] != told["remote_port"], "on a local pod the service itself has its number"
    with connect(told["port"], b"echo") as open_one:
        child = json.loads((one.runs / "api/.ops/claim.json").read_text())["child"]["pid"]
        os.kill(child, signal.SIGKILL)
        open_one.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            assert open_one.recv(1) == b""
    wait_for(lambda: answers(told["port"]), "the service to be back")


@pytest.mark.skipif(not list(VERSIONS.glob("3.8.*/bin/python3")), reason="Python 3.8 is not here")
def test_the_pod_side_of_it_works_under_python_3_8(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, start_ops: StartOps
) -> None:
    oldest = next(VERSIONS.glob("3.8.*/bin"))
    pod = ssh_pod("here", path=f"{oldest}:{POD_PATH}")
    script = pod.home / "key.sh"
    script.write_text(f"export WANDB_API_KEY={'k' * 40}\n")
    project(pod, presets=PRESETS, storage={"wandb": {"ensure_creds_script": "~/key.sh"}})
    assert ops("run", "submit", "--preset", "tcp", "--pod", "here", "--run-id", "api").returncode == 0
    assert "machine api.wandb.ai" in (pod.home / ".netrc").read_text()
    one = Forwarded(start_ops("pod", "forward", "api", "--json"), pod.outputs_dir, pod.home, pod)
    data = os.urandom(3 * MB)
    assert echoed(one.told("listening")["port"], data) == data


def test_what_is_no_service_and_a_port_that_is_taken_are_refused(
    ops: Ops, project: MakeProject, client_home: Path
) -> None:
    project("here", presets=PRESETS)
    for preset in ("hello", "tcp"):
        assert ops("run", "submit", "--preset", preset, "--pod", "here", "--run-id", preset).returncode == 0
    told = ops("pod", "forward", "hello")
    assert (told.returncode, "is no service" in told.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = ops("pod", "forward", "tcp", "--port", str(port))
    assert (told.returncode, f"port {port} of this machine cannot be opened" in told.stderr) == (5, True)


def test_a_shell_on_a_pod_gets_the_words_and_passes_its_exit_code_on(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops
) -> None:
    project(ssh_pod("far"), "here")
    for pod in ("far", "here"):
        done = ops("pod", "ssh", pod, "echo $((6 * 7)); exit 3")
        assert (done.returncode, done.stdout) == (3, "42\n"), done
