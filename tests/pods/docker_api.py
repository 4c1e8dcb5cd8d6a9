"""A stand-in for an engine, where none can run: Docker's API on a unix socket, commands as local processes.

It speaks as much of the API as podops uses, in the shapes that Docker 20.10 and podman 4.3 answered with.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import struct
import subprocess
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass
class StandInContainer:
    """What `docker inspect` would tell of it; its processes run here, with this environment."""

    name: str
    env: dict[str, str]
    state: str = "running"
    id: str = field(default_factory=lambda: uuid.uuid4().hex * 2)

    def inspect(self) -> dict[str, Any]:
        paused, running = self.state == "paused", self.state in ("running", "paused")
        state = {"Status": self.state, "Running": running, "Paused": paused, "ExitCode": 137 * (not running)}
        return {"Id": self.id, "Name": f"/{self.name}", "State": state, "Config": {"Tty": False}}


@dataclass
class _Exec:
    container: StandInContainer
    words: list[str]
    user: str
    process: subprocess.Popen[bytes] | None = None
    refused: bool = False

    def inspect(self) -> dict[str, Any]:
        code = 126 if self.refused else self.process.poll() if self.process else None
        running = self.process is not None and code is None
        return {"Running": running, "ExitCode": code, "Pid": 0, "OpenStdin": True}


class StandInEngine(socketserver.ThreadingUnixStreamServer):
    """`containers` by name; `delay_s` before every answer."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.containers: dict[str, StandInContainer] = {}
        self.execs: dict[str, _Exec] = {}
        self.released = threading.Event()
        self.released.set()
        super().__init__(str(path), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the server, and every process it started."""
        self.shutdown()
        self.server_close()
        self.released.set()
        for started in self.execs.values():
            if started.process is not None and started.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(started.process.pid, signal.SIGKILL)
                started.process.wait()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandInEngine

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "local"

    def do_GET(self) -> None:
        self.server.released.wait()
        path = re.sub(r"^/v[\d.]+", "", self.path).partition("?")[0]
        if path == "/version":
            parts = [{"Name": "Stand-in Engine", "Version": "1.0"}]
            self._answer(200, {"Version": "1.0", "ApiVersion": "1.41", "MinAPIVersion": "1.24", "Components": parts})
        elif match := re.fullmatch(r"/containers/([^/]+)/json", path):
            found = self._container(match.group(1))
            if found:
                self._answer(200, found.inspect())
        elif match := re.fullmatch(r"/exec/(\w+)/json", path):
            self._answer(200, self.server.execs[match.group(1)].inspect())
        else:
            self._answer(404, {"message": "page not found"})

    def do_POST(self) -> None:
        self.server.released.wait()
        path = re.sub(r"^/v[\d.]+", "", self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if match := re.fullmatch(r"/containers/([^/]+)/exec", path):
            if found := self._container(match.group(1)):
                number = uuid.uuid4().hex
                self.server.execs[number] = _Exec(found, body["Cmd"], body.get("User") or "")
                self._answer(201, {"Id": number})
        elif match := re.fullmatch(r"/exec/(\w+)/start", path):
            self._start(self.server.execs[match.group(1)])
        else:
            self._answer(404, {"message": "page not found"})

    def _container(self, name: str) -> StandInContainer | None:
        for found in self.server.containers.values():
            if name in (found.name, found.id):
                return found
        self._answer(404, {"message": f"No such container: {name}"})
        return None

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _start(self, wanted: _Exec) -> None:
        """The connection becomes the process's three streams, until it ends or the client goes."""
        self.close_connection = True
        self.send_response(101, "UPGRADED")
        self.send_header("Content-Type", "application/vnd.docker.raw-stream")
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        env = wanted.container.env
        if wanted.user not in ("", "root") or not Path(env.get("STAND_IN_SH", "/bin/sh")).exists():
            wanted.refused = True
            what = f"unable to find user {wanted.user}" if wanted.user else '"/bin/sh": stat /bin/sh: no such file'
            self._send(1, f"OCI runtime exec failed: {what}\r\n".encode())
            return
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            wanted.words, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd="/", start_new_session=True
        )
        wanted.process = process
        assert process.stdout and process.stderr
        pipes = ((1, process.stdout), (2, process.stderr))
        outputs = [threading.Thread(target=self._carry, args=pair) for pair in pipes]
        for thread in (threading.Thread(target=self._feed, args=(process,), daemon=True), *outputs):
            thread.start()
        for thread in outputs:
            thread.join()
        process.wait()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        with contextlib.suppress(OSError, ValueError):
            while data := self.rfile.read1(65536):
                process.stdin.write(data)
                process.stdin.flush()
        with contextlib.suppress(OSError):
            process.stdin.close()

    def _carry(self, output: int, pipe: IO[bytes]) -> None:
        while data := os.read(pipe.fileno(), 32768):
            self._send(output, data)
        pipe.close()

    def _send(self, output: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client has gone; the process is not to block on that
            self.connection.sendall(struct.pack(">BxxxL", output, len(data)) + data)
