"""Where an engine with Docker's API is, and the few things asked of it. Everything here blocks: call it on a thread."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podops.errors import UnreachableError
from podops.transport.docker_errors import explain, shell_problem
from podops.transport.docker_stream import Demultiplexer

if TYPE_CHECKING:
    from podops.transport.docker_client import Client

DEFAULT_HOST = "unix:///var/run/docker.sock"

#: How long the engine may take to answer one request, seconds.
ANSWER_S = 15.0

_SAID_LIMIT = 64 * 1024

#: What a shell does before it runs our command. It waits for a line, so that nothing is said before we listen, and
#: then tells its process id, which is also that of the command it becomes.
PREFACE = "read -r _; echo podops:$$ >&2; "


def engine_host(configured: str | None, environ: Mapping[str, str]) -> str:
    """The engine's address: as configured, else `DOCKER_HOST`, else docker's current context, else the usual socket."""
    if configured:
        return configured
    if environ.get("DOCKER_HOST") and not environ.get("DOCKER_CONTEXT"):
        return environ["DOCKER_HOST"]
    return _context_host(environ.get("DOCKER_CONTEXT")) or DEFAULT_HOST


def _context_host(name: str | None) -> str | None:
    from podops.transport.docker_client import ContextAPI

    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
        host = context.Host if context is not None else None
    except Exception:  # a broken ~/.docker is told by docker itself; without it the usual socket is tried
        return None
    # The SDK names the usual socket in a form of its own.
    return host if isinstance(host, str) and not host.startswith("http+unix") else None


@dataclass(frozen=True, slots=True)
class Exec:
    """A started command: its id at the engine, and the connection that carries its three streams."""

    id: str
    connection: socket.socket


class Engine:
    """One engine, over connections of its own. `host` is where it is, `shown` what a person calls that."""

    def __init__(self, host: str, shown: str) -> None:
        self.shown = shown
        self._host = host
        self._client: Client | None = None

    def client(self) -> Client:
        """The SDK's client; the first call asks the engine for its version. Raises `UnreachableError`s."""
        if self._client is None:
            from podops.transport.docker_client import Client, kwargs_from_env

            tls = kwargs_from_env(os.environ).get("tls") if self._host.startswith("tcp://") else None
            with explain(self.shown):
                self._client = Client(self._host, version="auto", timeout=int(ANSWER_S), tls=tls or False)
        return self._client

    def version(self) -> str:
        """What the engine calls itself, such as `Docker 20.10.24, API 1.41`. Raises `UnreachableError`s."""
        client = self.client()
        with explain(self.shown):
            told = client.version()
            parts = told.get("Components") or [{}]
            name = str(parts[0].get("Name") or "Docker").removesuffix(" Engine").replace("Engine", "Docker")
            return f"{name} {told.get('Version', '?')}, API {told.get('ApiVersion', '?')}"

    def container(self, name: str) -> str:
        """The id of the running container `name`. Raises `UnreachableError`s: missing, stopped, paused."""
        client = self.client()
        with explain(self.shown, name):
            found = client.inspect_container(name)
            state = found["State"]
            if state.get("Paused") or state.get("Status") == "paused":
                message, hint = f"container {name} is paused", f"docker unpause {name}"
                raise UnreachableError(message, hint, code="container_paused")
            if not state.get("Running"):
                status = state.get("Status") or "not running"
                ended = f", exit code {state['ExitCode']}" if status == "exited" and "ExitCode" in state else ""
                message = f"container {name} is not running ({status}{ended})"
                raise UnreachableError(message, f"docker start {name}", code="container_stopped")
            return str(found["Id"])

    def start(self, name: str, command: str, user: str | None) -> Exec:
        """Start `command` by the container's `/bin/sh`, its input open, without a terminal."""
        client, container = self.client(), self.container(name)
        words = ["/bin/sh", "-c", PREFACE + command]
        with explain(self.shown, name):
            created = client.exec_create(container, words, stdin=True, tty=False, user=user or "")
            stream: Any = client.exec_start(created["Id"], socket=True)
        connection = _plain(stream)
        with contextlib.suppress(OSError):  # under a shell that could not start the connection may be gone
            connection.sendall(b"\n")
        return Exec(str(created["Id"]), connection)

    def exit_code(self, exec_id: str, patience_s: float) -> int | None:
        """The exit status of a command that has just ended; `None` when the engine says for so long that it runs."""
        client, deadline = self.client(), time.monotonic() + patience_s
        while time.monotonic() < deadline:
            with explain(self.shown):
                told = client.exec_inspect(exec_id)
                code = told.get("ExitCode")
                if isinstance(code, int) and not told.get("Running"):
                    return code
            time.sleep(0.05)
        return None

    def kill(self, name: str, pid: int, user: str | None) -> None:
        """Kill a process by its number inside the container. Engines have no call for it."""
        client = self.client()
        with explain(self.shown, name):
            _said(client, name, f"kill -KILL {pid}", user)

    def shell_failure(self, name: str, user: str | None) -> UnreachableError:
        """Why the container's shell did not even start, in the engine's own words. Raises `UnreachableError`s."""
        client = self.client()
        with explain(self.shown, name):
            told = b"".join(piece for _, piece in Demultiplexer().feed(_said(client, name, ":", user)))
        return shell_problem(name, told.decode("utf-8", "replace").strip())

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def _said(client: Client, name: str, command: str, user: str | None) -> bytes:
    """What comes of a shell's command without input, up to its end, as the engine sends it."""
    created = client.exec_create(name, ["/bin/sh", "-c", command], user=user or "")
    stream: Any = client.exec_start(created["Id"], socket=True)
    try:
        # Not from the socket: some may have come with the head of the answer, which the SDK forgets.
        said: bytes = stream._response.raw._fp.fp.read(_SAID_LIMIT)
        return said
    finally:
        stream.close()


def _plain(stream: Any) -> socket.socket:
    """The SDK's stream, which is ours from here on, as a socket that asyncio takes."""
    if hasattr(stream, "pending"):  # an ssl.SSLSocket
        from podops.transport.tls_pump import pumped

        return pumped(stream)
    try:
        return socket.socket(fileno=os.dup(stream.fileno()))
    finally:
        stream.close()
