"""Runs that serve: their phases, their restarts, their ports. The service is a real little HTTP server."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.pods import little_server
from tests.pods.conftest import MakeProject, Ops, StartOps
from tests.pods.loopback import free_port, wait_for

SERVER = f"{sys.executable} {little_server.__file__} {{port}}"
#: Restarts must not keep a test waiting.
SOON = {"backoff": "100ms", "max": 3}


class Service:
    """One submitted service on a local pod, seen through the files of its run directory."""

    def __init__(self, path: Path) -> None:
        self.run_id = path.name
        self.path = path

    def record(self, name: str) -> dict[str, Any]:
        path = self.path / name
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in (self.path / "events.jsonl").read_text().splitlines()]

    def wait(self, condition: Callable[[], object], what: str) -> None:
        wait_for(lambda: bool(condition()), f"{self.run_id}: {what}")

    def wait_for_phase(self, phase: str) -> None:
        beat = self.path / "heartbeat.txt"
        self.wait(lambda: beat.exists() and f"phase={phase}" in beat.read_text(), f"phase {phase}")

    def wait_for_end(self) -> dict[str, Any]:
        self.wait(lambda: self.record("summary.json"), "its end")
        return self.record("summary.json")

    def is_told(self, answer: str) -> None:
        """Let `/health` answer this from now on."""
        (self.path / "health").write_text(answer)


class Submit(Protocol):
    def __call__(self, settings: Mapping[str, Any], *, command: str = ..., **keys: Any) -> Service: ...


@pytest.fixture
def submit(ops: Ops, project: MakeProject, client_home: Path) -> Submit:
    """Submit run `api` of a preset with these `service:` settings to a local pod."""

    def do(settings: Mapping[str, Any], *, command: str = SERVER, **keys: Any) -> Service:
        project("here", presets={"api": preset(settings, command, **keys)})
        answer = ops("run", "submit", "--preset", "api", "--pod", "here", "--run-id", "api", "--json")
        assert answer.returncode == 0, answer
        return Service(client_home / "runs/api")

    return do


def preset(settings: Mapping[str, Any], command: str, **keys: Any) -> dict[str, Any]:
    service = {"health": "/health", **settings}
    return {"kind": "command", "command": command, "grace": "1s", "service": service, **keys}


def test_a_service_loads_becomes_ready_falls_ill_is_restarted_and_is_ready_again(submit: Submit) -> None:
    one = submit({"port": "auto", "on_unhealthy": "restart"}, retries=SOON)
    one.wait_for_phase("ready")
    before = one.record("run_metadata.json")["endpoint"]["port"]
    one.is_told("500")
    one.wait(lambda: "retrying" in one.events(), "to be restarted")
    one.is_told("200")
    one.wait(lambda: one.events().count("ready") == 2, "to be ready again")
    told = [name for name in one.events() if name != "submitted"]
    assert told == ["started", "ready", "unhealthy", "stopping", "retrying", "started", "ready"]
    attempts = [json.loads(line) for line in (one.path / "attempts.jsonl").read_text().splitlines()]
    assert [(line["reason"], "HTTP 500" in line["detail"]) for line in attempts] == [("unhealthy", True)]
    after = one.record("run_metadata.json")["endpoint"]
    assert after == {"host": "127.0.0.1", "port": before, "url": f"http://127.0.0.1:{before}"}
    with urllib.request.urlopen(f"{after['url']}/", timeout=10) as answer:
        assert answer.read() == b"api attempt 2"


def test_a_service_that_falls_ill_is_only_flagged_when_that_is_all_that_was_asked(submit: Submit) -> None:
    one = submit({"port": "auto"})
    one.wait_for_phase("ready")
    one.is_told("503")
    one.wait_for_phase("unhealthy")
    one.is_told("204")
    one.wait_for_phase("ready")
    assert one.record("run_metadata.json")["attempt"] == 1


def test_a_service_that_takes_connections_and_says_nothing_is_never_ready(submit: Submit) -> None:
    command = f"echo hang > $OPS_RUN_DIR/health; exec {SERVER}"
    summary = submit({"port": "auto", "ready_timeout": "4s"}, command=command).wait_for_end()
    assert (summary["state"], summary["reason"]) == ("failed", "timeout")
    assert "not ready within 4 s" in summary["detail"] and "no answer within 5 s" in summary["detail"]


def test_a_service_that_is_not_ready_says_what_its_health_check_got(submit: Submit, ops: Ops) -> None:
    one = submit({"port": "auto"}, command=f"echo 404 > $OPS_RUN_DIR/health; exec {SERVER}")
    one.wait(lambda: ops("run", "status", "api", "--json").json["detail"] == "its health check says: HTTP 404", "404")
    assert "loading; its health check says: HTTP 404" in ops("run", "list").stdout
    one.is_told("204")
    one.wait_for_phase("ready")
    assert ops("run", "status", "api", "--json").json["detail"] == ""


def test_the_endpoint_stands_in_status_for_people_and_for_scripts(submit: Submit, ops: Ops) -> None:
    one = submit({"port": "auto"})
    one.wait_for_phase("ready")
    shown = ops("run", "status", "api", "--json").json
    assert shown["phase"] == "ready"
    assert shown["endpoint"] == one.record("run_metadata.json")["endpoint"]
    assert f"endpoint   {shown['endpoint']['url']} on here" in ops("run", "status", "api").stdout


def test_services_that_choose_a_port_at_the_same_time_get_one_each(
    ops: Ops, start_ops: StartOps, project: MakeProject, client_home: Path
) -> None:
    names = ("a", "b", "c")
    project("here", presets={"api": preset({"port": "auto"}, f"sleep 0.3; exec {SERVER}")})
    started = [start_ops("run", "submit", "--preset", "api", "--pod", "here", "--run-id", name) for name in names]
    assert [one.process.wait(60) for one in started] == [0, 0, 0], [one.stderr for one in started]
    services = [Service(client_home / "runs" / name) for name in names]
    for one in services:
        one.wait_for_phase("ready")
    assert len({one.record("run_metadata.json")["endpoint"]["port"] for one in services}) == 3


def test_a_ready_service_stays_ready_and_keeps_its_port_when_its_supervisor_is_killed(submit: Submit) -> None:
    one = submit({"port": "auto", "ready_timeout": "1m"})
    one.wait_for_phase("ready")
    port = one.record("run_metadata.json")["endpoint"]["port"]
    os.kill(one.record(".ops/claim.json")["supervisor"]["pid"], signal.SIGKILL)
    one.wait(lambda: "adopted" in one.events(), "to be taken over")
    assert (one.record(".ops/claim.json")["port"], one.events().count("ready")) == (port, 1)
    one.is_told("500")
    one.wait_for_phase("unhealthy")


def test_vllm_is_a_service_without_any_more_words(
    ops: Ops, project: MakeProject, client_home: Path, world: Path
) -> None:
    program = world / "venv/bin/vllm"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "serve m/m --port" ] && exec {SERVER.replace("{port}", "$4")}\n')
    program.chmod(0o755)
    project(
        "here",
        project={"name": "demo", "remote_outputs_dir": "~/runs", "venv_python": str(program.with_name("python"))},
        presets={"llm": {"kind": "vllm_serve", "model": "m/m", "port": "auto", "args": {"max_model_len": 8}}},
    )
    assert ops("run", "submit", "--preset", "llm", "--pod", "here", "--run-id", "llm").returncode == 0
    one = Service(client_home / "runs/llm")
    one.wait_for_phase("ready")
    assert one.record("run_metadata.json")["endpoint"]["port"] >= 20000


def test_a_port_promised_to_a_service_that_still_loads_is_no_other_run_s(
    submit: Submit, ops: Ops, client_home: Path
) -> None:
    port = free_port()
    first = submit({"port": port}, command=f"sleep 1000; exec {SERVER}")
    first.wait_for_phase("loading")
    assert ops("run", "submit", "--preset", "api", "--pod", "here", "--run-id", "second").returncode == 0
    summary = Service(client_home / "runs/second").wait_for_end()
    assert (summary["reason"], summary["detail"]) == ("address_in_use", f"port {port} belongs to run api")


def test_a_port_that_somebody_has_fails_the_run_before_anything_is_loaded_and_says_who(submit: Submit) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        summary = submit({"port": port}, command=f"echo loading; {SERVER}").wait_for_end()
    assert (summary["reason"], summary["evidence"]["port"]) == ("address_in_use", port)
    assert f"port {port} is in use by" in summary["detail"] and summary["evidence"]["pid"] > 0
    assert summary["log_bytes"] == 0
