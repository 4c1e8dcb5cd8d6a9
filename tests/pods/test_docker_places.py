"""Where an engine may be: on a TCP port with and without TLS, and where docker's own settings say."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from podops.config.model import PodConfig
from podops.errors import UnreachableError
from podops.transport.docker import DockerTransport
from podops.transport.docker_engine import engine_host
from tests.pods.bare_link import started
from tests.pods.conftest import MakeProject, Ops
from tests.pods.engines import StandIn
from tests.pods.loopback import wait_for
from tests.pods.stand_in_gpus import StandInNvml


class Front:
    """A TCP port on loopback whose connections end at a unix socket, with TLS when it has a context."""

    def __init__(self, path: Path, tls: ssl.SSLContext | None = None) -> None:
        self._path, self._tls = path, tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._server.accept()[0]
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            near = self._tls.wrap_socket(client, server_side=True) if self._tls else client
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._path))
            threading.Thread(target=_carry, args=(near, far), daemon=True).start()
            _carry(far, near)

    def close(self) -> None:
        self._server.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[StandIn]:
    engine = StandIn(tmp_path)
    engine.run("box")
    yield engine
    engine.end()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder as DOCKER_CERT_PATH wants it: ca.pem, cert.pem, key.pem; the server uses the same pair."""
    folder = tmp_path / "certs"
    folder.mkdir()
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    (folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())
    return folder


async def linked_and_ended(pod: PodConfig, engine: StandIn) -> None:
    async with started(pod):
        wait_for(lambda: len(engine.links("box")) == 1, "the link process")
    wait_for(lambda: not engine.links("box"), "the link process to end")


async def test_an_engine_on_a_port_carries_a_link(engine: StandIn) -> None:
    front = Front(engine.server.path)
    await linked_and_ended(PodConfig("box", docker="box", docker_host=f"tcp://127.0.0.1:{front.port}"), engine)
    front.close()


async def test_an_engine_behind_tls_carries_a_link_with_the_certificates_docker_would_use(
    engine: StandIn, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    front = Front(engine.server.path, context)
    pod = PodConfig("box", docker="box", docker_host=f"tcp://127.0.0.1:{front.port}")
    with pytest.raises(UnreachableError):
        await DockerTransport(pod).version()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    monkeypatch.setenv("DOCKER_HOST", pod.docker_host or "")
    await linked_and_ended(pod, engine)
    front.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def podops_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("podops")]


async def test_attempts_and_links_leave_no_descriptor_and_no_thread_behind(engine: StandIn) -> None:
    pod = PodConfig("box", docker="box", docker_host=engine.host)
    missing = replace(pod, docker="no-such")

    async def used() -> int:
        for _ in range(5):
            await linked_and_ended(pod, engine)
            with pytest.raises(UnreachableError):
                await DockerTransport(missing).start("true")
        # A thread that has nothing left to do needs a moment to end.
        await asyncio.to_thread(wait_for, lambda: not podops_threads(), "the end of every thread")
        return descriptors()

    before = await used()
    assert await used() <= before + 2


def test_the_gpus_of_a_container_are_told_as_on_any_pod(
    engine: StandIn, nvml: StandInNvml, project: MakeProject, ops: Ops
) -> None:
    engine.server.containers["box"].env.update(nvml.env)
    project(PodConfig("box", docker="box", docker_host=engine.host))
    pod = ops("pod", "status", "box", "--json").json["pod"]
    assert (pod["state"], pod["gpu_source"]) == ("live", "nvml")
    assert pod["gpus"] and pod["gpus"][0]["memory_total_bytes"]


def use_context(settings: Path, host: str) -> None:
    """Let the current context of docker, whose settings are in this folder, be one for the engine at `host`."""
    folder = settings / "contexts/meta" / hashlib.sha256(b"colima").hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": "colima", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}
    (folder / "meta.json").write_text(json.dumps(meta))
    (settings / "config.json").write_text(json.dumps({"currentContext": "colima"}))


def test_an_engine_is_looked_for_where_docker_itself_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    assert engine_host(None, {}) == "unix:///var/run/docker.sock"
    assert engine_host(None, {"DOCKER_HOST": "tcp://a:1"}) == "tcp://a:1"
    assert engine_host("unix:///x", {"DOCKER_HOST": "tcp://a:1"}) == "unix:///x"
    use_context(tmp_path, "unix:///colima/docker.sock")
    assert engine_host(None, {}) == "unix:///colima/docker.sock"
    assert engine_host(None, {"DOCKER_HOST": "tcp://a:1"}) == "tcp://a:1"
    (tmp_path / "config.json").write_text("{broken")
    assert engine_host(None, {"DOCKER_CONTEXT": "colima", "DOCKER_HOST": "tcp://a:1"}) == "unix:///colima/docker.sock"
    assert engine_host(None, {}) == "unix:///var/run/docker.sock"


def test_containers_whose_engines_are_found_in_different_ways_answer_side_by_side(
    engine: StandIn, tmp_path: Path, project: MakeProject, ops: Ops
) -> None:
    use_context(tmp_path, engine.host)
    project(*(PodConfig(f"p{n}", docker="box", docker_host=engine.host if n % 2 else None) for n in range(6)))
    pods = ops("pod", "list", "--json", env={"DOCKER_CONFIG": str(tmp_path)}).json["pods"]
    assert [(pod["state"], pod["reason"]) for pod in pods] == [("live", "")] * 6
