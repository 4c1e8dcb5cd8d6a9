"""`ops run attach` where there is nothing to attach to: it says that itself, with what to do, and not tmux or ssh."""

from __future__ import annotations

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, Project
from tests.pods.loopback import kill_tmux_server

PRESETS = {"loop": {"kind": "command", "command": "while :; do sleep 0.1; done"}}


@pytest.fixture(params=["ssh", "local"])
def made(request: pytest.FixtureRequest, ssh_pod: MakeSshPod, project: MakeProject) -> Project:
    """A project with one pod of this transport."""
    return project(ssh_pod("a100") if request.param == "ssh" else "a100", presets=PRESETS)


def attach(open_ops: OpenOps, run_id: str) -> tuple[int, str]:
    """What it ends with on a terminal, and all that stood there."""
    terminal = open_ops("run", "attach", run_id)
    status = terminal.ended()
    return status, terminal.output.decode().replace("\r\n", "\n")


@pytest.mark.usefixtures("made")
def test_a_run_that_has_not_started_is_told_with_what_it_waits_for(ops: Ops, open_ops: OpenOps) -> None:
    for run_id, words in (("kept", ["--hold"]), ("late", ["--delay", "2h"])):
        assert ops("run", "submit", "--preset", "loop", "--run-id", run_id, *words).returncode == 0
    status, told = attach(open_ops, "kept")
    assert (status, "can't find session" in told) == (5, False)
    assert "error: run kept has not started: waits for its release\n" in told
    assert "hint: let it start with: ops queue release kept\n" in told
    status, told = attach(open_ops, "late")
    assert status == 5 and "error: run late has not started: not before " in told and "ops run tail -f late" in told
    assert ops("queue", "cancel", "kept").returncode == 0
    status, told = attach(open_ops, "kept")
    assert status == 5 and "error: run kept has ended\n" in told


def test_a_run_whose_tmux_is_gone_is_told_as_that(made: Project, ops: Ops, open_ops: OpenOps) -> None:
    assert ops("run", "submit", "--preset", "loop", "--run-id", "r1").returncode == 0
    kill_tmux_server(made.tmux_socket)
    status, told = attach(open_ops, "r1")
    assert status == 1
    assert "error: run r1 has no tmux session on pod a100 now" in told and "ops run tail -f r1" in told
    assert not any(words in told for words in ("no sessions", "can't find", "no server running", "error connecting"))
    assert ops("run", "kill", "r1", "--yes", "--grace", "1").returncode == 0


@pytest.mark.usefixtures("made")
def test_without_a_terminal_that_is_said_before_anything_else(ops: Ops) -> None:
    told = ops("run", "attach", "r1")
    assert told.returncode == 2 and "terminal" not in told.stdout
    assert told.stderr.startswith("error: attach needs a terminal, and there is none here\nhint: `ops run tail -f RUN`")
