"""Serve the newest checkpoint: `serve.py PORT`; /v1/models and /v1/completions on loopback."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from model import Model, newest_checkpoint


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/v1/models"
        self.answer(200 if known else 404, {"object": "list", "data": [{"id": "declaration"}]} if known else {})

    def do_POST(self):
        try:
            asked = json.loads(self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 65536)) or b"{}")
            prompt, count = str(asked.get("prompt", "")), min(int(asked.get("max_tokens", 64)), 500)
        except (ValueError, TypeError, AttributeError):
            return self.answer(400, {"error": "the body is not a completion request"})
        path = newest_checkpoint(os.path.dirname(os.environ.get("OPS_RUN_DIR", ".")))
        text = Model.load(path).sample(prompt, count) if path else "(no checkpoint yet)"
        self.answer(200, {"object": "text_completion", "choices": [{"index": 0, "text": text}]})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


port = int(sys.argv[1])
print("serving on http://127.0.0.1:%d" % port, flush=True)
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
