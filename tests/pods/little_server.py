"""A real little service for tests, run as a program: `python little_server.py PORT`.

How it answers `/health` stands in `health` in its run directory and can be changed while it runs: a status (200 without
the file), or `hang`. It writes its port to `listening`.
"""

from __future__ import annotations

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RUN_DIR = Path(os.environ.get("OPS_RUN_DIR", "."))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        health = RUN_DIR / "health"
        told = health.read_text().strip() if health.exists() else "200"
        if self.path == "/health" and told == "hang":
            time.sleep(3600)
        body = f"{os.environ.get('OPS_RUN_ID')} attempt {os.environ.get('OPS_ATTEMPT')}".encode()
        self.send_response(int(told) if self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    (RUN_DIR / "listening").write_text(sys.argv[1])
    server.serve_forever()
