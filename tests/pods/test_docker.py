"""What a user can rely on with containers as pods: on Docker's engine, on podman's, and on a stand-in for them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from podops.config.model import PodConfig
from podops.errors import PodSetupError, RefusedError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import PodSnapshot
from podops.transport.base import PodProcess
from podops.transport.choose import transport_for
from podops.transport.docker import DockerTransport
from tests.pods.bare_link import failure, started
from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, StartOps
from tests.pods.engines import ContainerEngine, RealEngine, StandIn, start_engine
from tests.pods.fleet_config import fleet_config, shows, submit_plan
from tests.pods.loopback import wait_for

PRESETS = {
    "loop": {"kind": "command", "command": "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"},
    "many": {"kind": "command", "command": "seq 1 10000"},
    "serve": {
        "kind": "command",
        "command": "echo from inside > index.html; exec python3 -m http.server --bind 127.0.0.1 {port}",
        "service": {"port": "auto", "health": "/"},
    },
}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ContainerEngine]]:
    """The engine of each kind, started once."""
    started: dict[str, ContainerEngine] = {}

    def engine_of(kind: str) -> ContainerEngine:
        if kind not in started:
            started[kind] = start_engine(kind, tmp_path_factory.mktemp("engine"))
        return started[kind]

    yield engine_of
    for engine in started.values():
        engine.end()


@pytest.fixture(params=["stand-in", "docker", "podman"])
def engine(request: pytest.FixtureRequest, engines: Callable[[str], ContainerEngine]) -> ContainerEngine:
    return engines(request.param)


#: The stand-in has no terminals, no client of its own, and no processes that end with a container.
on_real_engines = pytest.mark.parametrize("engine", ["docker", "podman"], indirect=True)


@pytest.fixture
def container(engine: ContainerEngine, request: pytest.FixtureRequest) -> PodConfig:
    """A running container as a pod."""
    name = f"pod-{abs(hash(request.node.name)) % 10**8}"
    engine.run(name)
    return PodConfig(name, docker=name, docker_host=engine.host, outputs_dir="~/runs")


@asynccontextmanager
async def process(pod: PodConfig, command: str) -> AsyncIterator[PodProcess]:
    started = await transport_for(pod).start(command)
    try:
        yield started
    finally:
        await started.close()


async def everything(process: PodProcess) -> bytes:
    told = b""
    while data := await process.read(65536):
        told += data
    return told


async def test_both_ways_carry_bytes_unchanged_and_the_exit_code_and_errors_come_apart(container: PodConfig) -> None:
    sent = bytes(range(256)) * 8192
    async with process(container, f"head -c {len(sent)} 2>/dev/null || cat; echo wrong >&2; exit 7") as started:
        writing = asyncio.create_task(started.write(sent))
        got = b""
        while len(got) < len(sent):
            got += await started.read(65536)
        await writing
        await started._writer.drain()  # type: ignore[attr-defined]
        started._writer.write_eof()  # type: ignore[attr-defined]
        assert await everything(started) == b""
        assert await started.wait_closed() == (7, "wrong")
        assert got == sent


async def test_the_pod_side_is_uploaded_once_and_found_again(container: PodConfig) -> None:
    async with started(container) as first:
        assert first.uploaded
    async with started(container) as second:
        assert not second.uploaded


async def test_closing_the_link_ends_its_process_even_one_that_does_not_listen(
    container: PodConfig, engine: ContainerEngine
) -> None:
    async with started(container):
        wait_for(lambda: len(engine.links(container.name)) == 1, "the link process")
    wait_for(lambda: not engine.links(container.name), "the link process to end")
    deaf = "exec python3 -c 'import time; a2b_base64=0; time.sleep(600)'"
    async with process(container, deaf):
        wait_for(lambda: len(engine.links(container.name)) == 1, "a process that does not read its input")
    wait_for(lambda: not engine.links(container.name), "it to be killed")


def test_the_pod_side_ends_when_the_client_is_killed(
    container: PodConfig, engine: ContainerEngine, project: MakeProject, start_ops: StartOps
) -> None:
    project(container, presets=PRESETS)
    client = start_ops("run", "wait", "nothing-yet", "--json")
    wait_for(lambda: len(engine.links(container.name)) == 1, "the link process")
    os.kill(client.process.pid, signal.SIGKILL)
    assert client.process.wait(60) == -signal.SIGKILL
    wait_for(lambda: not engine.links(container.name), "the link process to end")


def test_runs_are_submitted_watched_killed_and_recorded_as_on_any_pod(
    container: PodConfig, project: MakeProject, ops: Ops
) -> None:
    project(container, presets=PRESETS)
    submitted = ops("run", "submit", "--preset", "many", "--run-id", "m1", "--json")
    assert submitted.returncode == 0, submitted.stderr
    followed = ops("run", "tail", "-f", "-n", "100000", "m1")
    assert followed.stdout == "".join(f"{n}\n" for n in range(1, 10001))
    assert ops("run", "wait", "m1").returncode == 0
    assert ops("run", "submit", "--preset", "loop", "--run-id", "l1").returncode == 0
    assert ops("run", "kill", "l1", "--yes", "--grace", "1").returncode == 0
    listed = {run["run_id"]: run["state"] for run in ops("run", "list", "--json").json["runs"]}
    assert listed == {"m1": "succeeded", "l1": "cancelled"}
    (shown,) = ops("pod", "list", "--json").json["pods"]
    assert (shown["state"], shown["transport"]) == ("live", "docker")
    told = ops("doctor").stdout
    assert "engine: " in told and "API 1." in told


@on_real_engines
def test_attaching_puts_the_terminal_into_the_runs_session(
    container: PodConfig, project: MakeProject, ops: Ops, open_ops: OpenOps, engine: ContainerEngine
) -> None:
    project(container, presets=PRESETS)
    assert ops("run", "submit", "--preset", "loop", "--run-id", "l1").returncode == 0
    terminal = open_ops("run", "attach", "l1")
    terminal.wait_for(r"tick \d\d")
    terminal.wait_for("comes back to ops")
    assert terminal.detach() == 0
    assert ops("run", "kill", "l1", "--yes", "--grace", "0.5").returncode == 0


def test_a_service_in_a_container_is_reached_without_publishing_its_port(
    container: PodConfig, project: MakeProject, ops: Ops, start_ops: StartOps
) -> None:
    project(container, presets=PRESETS)
    assert ops("run", "submit", "--preset", "serve", "--run-id", "s1").returncode == 0
    forwarding = start_ops("pod", "forward", "s1")
    url = forwarding.read_line().decode().split()[0]
    with urllib.request.urlopen(f"{url}/index.html", timeout=20) as answer:
        assert answer.read() == b"from inside\n"
    assert ops("run", "kill", "s1", "--yes", "--grace", "0.5").returncode == 0
    assert forwarding.process.wait(30) == 0


@on_real_engines
def test_a_shell_in_a_container_gets_the_words_and_passes_its_exit_code_on(
    container: PodConfig, project: MakeProject, ops: Ops, engine: ContainerEngine
) -> None:
    project(container, presets=PRESETS)
    done = ops("pod", "ssh", container.name, "echo $((6 * 7)); exit 3")
    assert (done.returncode, done.stdout) == (3, "42\n"), done


#: It is the docker command that makes it.
@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_a_container_is_made_used_and_removed_like_a_rented_pod(
    engine: ContainerEngine, project: MakeProject, ops: Ops
) -> None:
    assert isinstance(engine, RealEngine)
    example = yaml.safe_load((Path(__file__).parents[2] / "configs/sources/docker-ps.yaml").read_text())
    example["pod_sources"][0] |= {"interval": "1h", "pod": {"docker_host": engine.host}}
    project(presets=PRESETS, **example)
    env = {"DOCKER_HOST": engine.host}
    made = ops("pod", "up", "box", f"image={engine.image}", "--name", "made", "--yes", "--json", env=env)
    assert made.returncode == 0, made.stderr
    assert (made.json["name"], made.json["ttl_s"]) == ("made", 43200.0)
    assert ops("run", "submit", "--preset", "many", "--pod", "made", "--run-id", "m1", env=env).returncode == 0
    assert ops("run", "wait", "m1", env=env).returncode == 0
    removed = ops("pod", "rm", "made", "--yes", env=env)
    assert removed.returncode == 0, removed.stderr
    assert [pod["state"] for pod in ops("pod", "list", "--json", env=env).json["pods"]] == ["gone"]


async def test_a_container_that_is_missing_stopped_or_paused_says_how_to_get_it(
    container: PodConfig, engine: ContainerEngine
) -> None:
    error = await failure(replace(container, docker="no-such"))
    assert "there is no container no-such" in error.message and "docker ps -a" in error.hint
    for action, undo, state in (("pause", "unpause", "is paused"), ("stop", "start", "is not running (exited")):
        engine.change(container.name, action)
        error = await failure(container)
        assert not isinstance(error, RefusedError), "it is tried again, and heals by itself"
        assert state in error.message and error.hint == f"docker {undo} {container.name}"
        engine.change(container.name, undo)
    async with started(container) as healed:
        assert healed.process


@on_real_engines
async def test_a_container_that_is_restarted_heals_and_its_runs_are_told_as_lost(
    container: PodConfig, engine: ContainerEngine, tmux_socket: str
) -> None:
    config, name = fleet_config(container, tmux_socket=tmux_socket), container.name

    def run(pod: PodSnapshot) -> str:
        return pod.runs["r1"].state if "r1" in pod.runs else ""

    async with Fleet(config) as fleet:
        await fleet.settled(30)
        await fleet.submit(submit_plan(config, name, "r1", "sleep 600"))
        await shows(fleet, name, lambda pod: run(pod) == "running", "the run to run")
        await asyncio.to_thread(engine.change, name, "stop")
        down = await shows(fleet, name, lambda pod: "is not running" in pod.reason, "it to be told as stopped")
        assert (down.state, run(down)) == ("unreachable", "running"), "a silent pod changes no run"
        await asyncio.to_thread(engine.change, name, "start")
        fleet.retry(name)
        await shows(fleet, name, lambda pod: pod.state == "live", "it to be live again")
        await shows(fleet, name, lambda pod: run(pod) in ("lost", "failed"), "the run to be lost")


@pytest.mark.parametrize(
    ("missing", "message"),
    [("python3", "python3 is not installed on pod"), ("sh", "has no /bin/sh")],
)
async def test_an_image_without_what_a_pod_needs_is_named(engine: ContainerEngine, missing: str, message: str) -> None:
    engine.run(f"no-{missing}", without=[missing])
    error = await failure(PodConfig(f"no-{missing}", docker=f"no-{missing}", docker_host=engine.host))
    assert isinstance(error, PodSetupError) and message in error.message


def test_an_image_without_tmux_is_named_when_a_run_is_submitted(
    engine: ContainerEngine, project: MakeProject, ops: Ops
) -> None:
    engine.run("no-tmux", without=["tmux"])
    project(PodConfig("no-tmux", docker="no-tmux", docker_host=engine.host), presets=PRESETS)
    done = ops("run", "submit", "--preset", "many")
    assert (done.returncode, "tmux is not installed on pod no-tmux" in done.stderr) == (1, True), done.stderr


async def test_a_user_the_container_does_not_have_is_named(container: PodConfig) -> None:
    error = await failure(replace(container, user="nobody-here"))
    assert "does not have the user asked for" in error.message and "nobody-here" in error.message


async def test_an_engine_that_is_not_running_is_told_with_the_command_that_starts_it(world: Path) -> None:
    missing = PodConfig("c", docker="c", docker_host=f"unix://{world}/none.sock")
    error = await failure(missing)
    assert f"no engine answers at unix://{world}/none.sock" in error.message
    assert "systemctl start docker" in error.hint and error.error_code == "engine_down"


async def test_an_engine_that_hangs_delays_nobody_and_is_told(world: Path) -> None:
    stand_in = StandIn(world)
    stand_in.server.released.clear()
    pod = PodConfig("c", docker="c", docker_host=stand_in.host)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await DockerTransport(pod).start("true")
    finally:
        stand_in.end()


def test_a_socket_without_permission_is_told_with_the_group_to_join(world: Path) -> None:
    stand_in = StandIn(world)
    script = (
        "import asyncio, os, docker.context, docker.utils, encodings.idna\n"
        "from podops.config.model import PodConfig\nfrom podops.transport.docker import DockerTransport\n"
        "if os.getuid() == 0: os.setresuid(65534, 65534, 65534)\n"
        f"pod = PodConfig('c', docker='c', docker_host={stand_in.host!r})\n"
        "try: asyncio.run(DockerTransport(pod).start('true'))\n"
        "except Exception as error: print(type(error).__name__, error.error_code, error.message, error.hint)\n"
    )
    stand_in.server.path.chmod(0)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd="/")
    stand_in.end()
    assert done.stdout.startswith("RefusedError engine_permission no permission to use the engine"), done
    assert "usermod -aG docker" in done.stdout


async def test_an_engine_on_another_machine_is_reached_through_its_ssh(
    engine: ContainerEngine, container: PodConfig, ssh_pod: MakeSshPod, dial: Callable[[str], Path]
) -> None:
    machine = ssh_pod("machine", path=f"{dial(engine.host)}:/usr/bin:/bin")
    there = replace(container, docker_host=f"ssh://{machine.alias}", ssh_config=str(machine.ssh_config))
    async with started(there) as link:
        assert link.uploaded
        wait_for(lambda: len(engine.links(container.name)) == 1, "the link process")
    wait_for(lambda: not engine.links(container.name), "the link process to end")
    assert f"container no-such at ssh://{machine.alias}" in (await failure(replace(there, docker="no-such"))).message


async def test_an_engine_behind_ssh_that_cannot_be_used_says_why(ssh_pod: MakeSshPod) -> None:
    machine = ssh_pod("machine", path="/bin")
    pod = PodConfig("c", docker="c", docker_host=f"ssh://{machine.alias}", ssh_config=str(machine.ssh_config))
    with_path = ssh_pod("other", path="/nowhere")
    other = replace(pod, docker_host=f"ssh://{with_path.alias}", ssh_config=str(with_path.ssh_config))
    assert "neither docker nor podman is installed on other-alias" in (await failure(other)).message
    machine.stop()
    assert "refused the connection" in (await failure(pod)).message


@pytest.fixture
def dial(world: Path) -> Callable[[str], Path]:
    """A folder with a `docker` that joins its input and output with the engine's socket, as the real one does."""

    def make(host: str) -> Path:
        folder = world / "dial-bin"
        folder.mkdir()
        program = folder / "docker"
        program.write_text(f"#!{sys.executable} -IS\n" + _DIAL.format(path=host.removeprefix("unix://")))
        program.chmod(0o755)
        return folder

    return make


_DIAL = """
import os, socket, sys, threading
assert sys.argv[1:] == ["system", "dial-stdio"], sys.argv
engine = socket.socket(socket.AF_UNIX); engine.connect({path!r})
def there():
    while True:
        data = os.read(0, 65536)
        if not data: break
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=there, daemon=True).start()
while True:
    data = engine.recv(65536)
    if not data: break
    os.write(1, data)
"""
