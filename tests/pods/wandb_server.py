"""A small W&B server on loopback: enough for the real client to log in, make a run and finish it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: One answer to whatever is asked: a client takes the fields that it asked for.
_DATA: dict[str, Any] = {
    "viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}},
    "serverInfo": {"features": [], "cliVersionInfo": {"max_cli_version": "0.99.0"}, "latestLocalVersionInfo": None},
    "model": {"bucket": None},
    "upsertBucket": {
        "bucket": {
            "id": "x",
            "name": "r",
            "displayName": "r",
            "config": "{}",
            "project": {"id": "p", "name": "p", "entity": {"id": "e", "name": "me"}},
            "historyLineCount": 0,
        },
        "inserted": True,
    },
    "createRunFiles": {"runID": "x", "uploadHeaders": [], "files": []},
}


@dataclass
class WandbServer:
    """What it was told: the key of each login, and the bodies of what runs have sent as their history."""

    url: str
    keys: list[str] = field(default_factory=list)
    streamed: list[bytes] = field(default_factory=list)


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Serve until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    told = WandbServer(f"http://127.0.0.1:{server.server_address[1]}")
    server.told = told  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told: WandbServer = self.server.told  # type: ignore[attr-defined]
        scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if scheme == "Basic":
            told.keys.append(base64.b64decode(given).decode().partition(":")[2])
        if self.path.endswith("/file_stream"):
            told.streamed.append(body)
        self._answer({"data": _DATA} if self.path.startswith("/graphql") else {})

    do_PUT = do_POST

    def do_GET(self) -> None:
        self._answer({})

    def _answer(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass
