"""`ops` as a process among others: killed, interrupted, piped away, asked on a terminal, completed by a shell."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, StartOps
from tests.pods.loopback import POD_PATH, SshPod, command_line, link_processes, processes_with_env, wait_for
from tests.pods.ops_process import ops_words

BOTH_TRANSPORTS = pytest.mark.parametrize("pod", ["ssh", "local"], indirect=True)
LOCALLY = pytest.mark.parametrize("pod", ["local"], indirect=True)

CANARY = "canary-8c41f0d2"
SECRETS = dict.fromkeys(("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_PASSWORD"), CANARY)


@dataclass(frozen=True)
class Reached:
    """A pod reached by one of the transports; its runs end once `go` is there."""

    name: str
    home: Path
    go: Path

    @property
    def runs(self) -> Path:
        return self.home / "runs"


@pytest.fixture
def pod(
    request: pytest.FixtureRequest, ssh_pod: MakeSshPod, project: MakeProject, client_home: Path, world: Path
) -> Reached:
    """A project with one pod, over SSH unless a test is parametrized; its runs print until `go` is there."""
    ssh: SshPod | None = ssh_pod("a100") if getattr(request, "param", "ssh") == "ssh" else None
    go = world / "go"
    ticks = f"env; i=0; until [ -e {go} ]; do i=$((i+1)); echo tick $i; sleep 0.02; done; echo the end"
    project(ssh or "a100", presets={"ticks": {"kind": "command", "command": ticks, "description": "prints"}})
    return Reached("a100", ssh.home if ssh else client_home, go)


@pytest.fixture
def run(ops: Ops, pod: Reached) -> str:
    """The run `r1` on `pod`, which prints already."""
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1", env=SECRETS).returncode == 0
    log = pod.runs / "r1/stdout.log"
    wait_for(lambda: log.exists() and b"tick 3\n" in log.read_bytes(), "the run to print")
    return "r1"


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """Listens on loopback and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        server.settimeout(20)
        yield server


def state(ops: Ops, run_id: str) -> str:
    return str(ops("run", "status", run_id, "--json").json["state"])


@BOTH_TRANSPORTS
def test_a_client_killed_mid_stream_leaves_the_run_alone_and_nothing_on_the_pod(
    ops: Ops, start_ops: StartOps, pod: Reached, run: str
) -> None:
    tail = start_ops("run", "tail", "-f", run)
    for _ in range(20):
        tail.read_line()
    assert link_processes(pod.home)
    tail.process.kill()
    wait_for(lambda: not link_processes(pod.home), "the pod's end of the link to go")
    log = pod.runs / "r1/stdout.log"
    size = log.stat().st_size
    wait_for(lambda: log.stat().st_size > size + 100, "the run to go on printing")
    second = start_ops("run", "tail", "-f", "-n", "1000000", run)
    first = second.read_line()
    pod.go.touch()
    everything = first + second.rest()
    assert everything == log.read_bytes() and everything.endswith(b"the end\n")
    assert state(ops, run) == "succeeded"


def test_an_interrupt_ends_following_and_waiting_with_130_and_the_run_goes_on(
    ops: Ops, start_ops: StartOps, pod: Reached, run: str
) -> None:
    for words in (("tail", "-f"), ("tail", "-f", "--json"), ("wait",), ("wait", "--json")):
        client = start_ops("run", *words, run)
        if words == ("wait",):
            wait_for(lambda client=client: "running" in client.stderr, "the first state")  # type: ignore[misc]
        else:
            client.read_line()
        client.process.send_signal(signal.SIGINT)
        rest = client.rest()
        assert client.process.returncode == 130, (words, client.stderr)
        assert "Traceback" not in client.stderr and "interrupted" not in client.stderr
        if "--json" in words:
            error = json.loads(rest.splitlines()[-1])
            assert (error["ok"], error["error"]["code"]) == (False, "interrupted")
        wait_for(lambda: not link_processes(pod.home), "the pod's end of the link to go")
    assert state(ops, run) == "running"


def test_an_interrupt_ends_the_wait_for_a_silent_pod(
    start_ops: StartOps, project: MakeProject, silent_server: socket.socket
) -> None:
    project(pods={"silent": {"ssh": "root@127.0.0.1", "port": silent_server.getsockname()[1]}})
    client = start_ops("--timeout", "600", "run", "list")
    with silent_server.accept()[0]:
        client.process.send_signal(signal.SIGINT)
        client.rest()
    assert client.process.returncode == 130 and "Traceback" not in client.stderr


def test_ctrl_c_on_the_terminal_ends_the_client_and_not_the_run(
    ops: Ops, open_ops: OpenOps, pod: Reached, run: str
) -> None:
    for words, seen in ((("run", "tail", "-f", run), "tick [0-9]+\r\n"), (("watch",), "live")):
        terminal = open_ops(*words)
        terminal.wait_for(seen)
        terminal.press("\x03")
        assert terminal.ended() == 130
        assert b"Traceback" not in terminal.output and b"error" not in terminal.output
    assert state(ops, run) == "running"


@BOTH_TRANSPORTS
def test_following_a_run_that_has_not_started_says_so_once_and_goes_on_when_it_starts(
    ops: Ops, start_ops: StartOps, pod: Reached
) -> None:
    pod.go.touch()
    assert ops("run", "submit", "--preset", "ticks", "--run-id", "r1", "--hold").returncode == 0
    told = "run r1 has not started: waits for its release\n"
    now = ops("run", "tail", "r1")
    assert (now.returncode, now.stdout, now.stderr) == (0, "", told)
    person, script = start_ops("run", "tail", "-f", "r1"), start_ops("run", "tail", "-f", "r1", "--json")
    wait_for(lambda: person.stderr == told, "what the run waits for")
    assert ops("queue", "release", "r1").returncode == 0
    assert person.rest().endswith(b"the end\n") and person.stderr == told
    assert json.loads(script.rest().splitlines()[-1])["eof"] is True and script.stderr == ""


@LOCALLY
def test_a_reader_that_goes_early_is_no_error(start_ops: StartOps, pod: Reached, run: str) -> None:
    follow = ("tail", "-f", "-n", "100000", run)
    for words in (follow, (*follow, "--json"), ("list",), ("list", "--json"), ("wait", run, "--json")):
        client = start_ops("run", *words)
        if words[0] == "tail":
            client.read_line()
        client.stdout.close()
        if words[0] == "wait":
            pod.go.touch()
        client.process.wait(30)
        assert client.process.returncode == 0, (words, client.stderr)
        assert client.stderr == "", words


@pytest.fixture
def shell(world: Path, ops_env: Callable[..., dict[str, str]]) -> Callable[[str], tuple[int, str]]:
    """Run a line of bash in which `ops` is the command; its exit code and what stood on standard error."""

    def run(line: str) -> tuple[int, str]:
        folder = world / "project" if (world / "project").is_dir() else world
        words = ["bash", "-c", f'ops() {{ {shlex.join(ops_words())} "$@"; }}; {line}']
        done = subprocess.run(words, cwd=folder, env=ops_env(), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    return run


@LOCALLY
def test_a_standard_output_that_takes_nothing_is_told_and_closed_streams_are_no_error(
    shell: Callable[[str], tuple[int, str]], pod: Reached, run: str
) -> None:
    full = "error: standard output cannot be written: No space left on device\nhint: "
    for words in ("status", "run list --json", f"run tail {run}", f"run search {run} tick", "--help"):
        code, told = shell(f"ops {words} >/dev/full")
        assert (code, told.startswith(full), told.count("\n")) == (1, True, 2), (words, told)
    assert shell("ops run status nothing --json >/dev/full")[0] == 3
    assert shell("ops run status nothing 2>/dev/full")[0] == 3
    code, told = shell("ops run submit --preset ticks --run-id r2 >/dev/full")
    assert (code, told.startswith("submitted to a100: ")) == (1, True), told
    for words in ("status", "run list --json", f"run tail {run}"):
        assert shell(f"ops {words} >&-") == (0, "")
    assert shell("ops status <&- >&- 2>&-") == (0, "")


def test_the_app_says_that_it_needs_a_terminal(shell: Callable[[str], tuple[int, str]], pod: Reached) -> None:
    for words in ("tui </dev/null", "tui <&-", "demo </dev/null"):
        code, told = shell(f"ops {words}")
        assert (code, told.startswith("error: the app needs a terminal")) == (2, True), told


def test_a_folder_that_is_gone_is_told(shell: Callable[[str], tuple[int, str]]) -> None:
    code, told = shell("mkdir gone; cd gone; rmdir ../gone; ops status")
    assert code == 2
    assert "error: the current directory cannot be used: No such file or directory\nhint: " in told


@LOCALLY
def test_kill_asks_on_a_terminal_and_anything_but_yes_kills_nothing(
    ops: Ops, open_ops: OpenOps, pod: Reached, run: str
) -> None:
    ctrl_c, ctrl_d = "\x03", "\x04"
    for keys, code in (("\r", 5), ("n\r", 5), ("what\r", 5), (ctrl_d, 5), (ctrl_c, 130)):
        terminal = open_ops("run", "kill", run)
        terminal.wait_for(r"r1  on a100  running(?s:.*)Kill this run\? \[y/N\]: ")
        terminal.press(keys)
        assert terminal.ended() == code, (keys, terminal.output)
        assert b"Traceback" not in terminal.output
    assert not (pod.runs / "r1/.ops/kill.json").exists()
    assert state(ops, run) == "running"


@LOCALLY
def test_yes_on_the_terminal_kills_and_without_a_terminal_it_takes_the_flag(
    ops: Ops, open_ops: OpenOps, pod: Reached, run: str
) -> None:
    refused = ops("run", "kill", run, "--json", stdin="y\n")
    assert (refused.returncode, refused.json["error"]["hint"]) == (2, "add --yes")
    terminal = open_ops("run", "kill", run, "--grace", "1")
    terminal.wait_for(r"Kill this run\?")
    terminal.press("y\r")
    assert terminal.ended() == 0
    assert b"cancelled (user_kill)" in terminal.output
    assert state(ops, run) == "cancelled"


@pytest.fixture
def complete(project: MakeProject, world: Path, ops_env: Callable[..., dict[str, str]]) -> Callable[..., list[str]]:
    """What a real bash offers for the last of these words."""
    presets: dict[str, dict[str, Any]] = {
        name: {"kind": "command", "command": "true"} for name in ("train_small", "train_large", "eval")
    }
    presets["eval"]["overrides"] = {"num_examples": 200, "seed": 1}
    project("laptop", "lab", presets=presets)
    folder = world / "bin"
    folder.mkdir()
    (folder / "ops").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m podops.cli.main "$@"\n')
    (folder / "ops").chmod(0o755)

    def offered(*words: str, cwd: Path | None = None) -> list[str]:
        script = (
            f"source <(ops completion bash); COMP_WORDS=({shlex.join(('ops', *words))}); "
            f"COMP_CWORD={len(words)}; complete -p ops >/dev/null && _ops_completion ops; "
            'for word in "${COMPREPLY[@]}"; do echo "$word"; done'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            cwd=cwd or world / "project",
            env=ops_env(PATH=f"{folder}:{POD_PATH}"),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout.splitlines()

    return offered


def test_a_real_bash_completes_commands_options_and_the_names_of_the_project(
    complete: Callable[..., list[str]], project: MakeProject, world: Path
) -> None:
    assert {"run", "pod", "status", "doctor", "demo", "tui"} <= set(complete(""))
    assert {"submit", "list", "status", "tail", "search", "wait", "kill", "attach"} == set(complete("run", ""))
    assert complete("run", "sub") == ["submit"]
    assert {"--preset", "--pod", "--dry-run", "--force"} <= set(complete("run", "submit", "--"))
    assert complete("run", "submit", "--preset", "") == ["train_small", "train_large", "eval"]
    assert complete("run", "submit", "--json", "--preset", "train_l") == ["train_large"]
    assert complete("run", "list", "--preset", "ev") == ["eval"]
    assert complete("run", "list", "--state", "run") == ["running"]
    for words in (("run", "submit", "--pod"), ("run", "kill", "--pod"), ("doctor", "--pod"), ("pod", "status")):
        assert complete(*words, "la") == ["laptop", "lab"], words
    other = world / "elsewhere.yaml"
    other.write_text("project: {name: x}\npods: {labs: {local: true}}\n")
    assert complete("--config", str(other), "pod", "status", "la") == ["labs"]


def test_a_real_bash_completes_overrides_of_the_preset_and_the_runs_seen_last_without_asking_a_pod(
    complete: Callable[..., list[str]], ops: Ops, client_home: Path
) -> None:
    assert complete("run", "submit", "--preset", "eval", "") == ["num_examples=", "seed="]
    assert complete("run", "submit", "--preset", "eval", "seed=2", "") == ["num_examples="]
    assert complete("run", "tail", "") == []
    for run in ("first", "second"):
        assert ops("run", "submit", "--preset", "eval", "--pod", "lab", "--run-id", run).returncode == 0
    assert complete("run", "tail", "fi") == ["first"]
    ops("run", "wait", "first", "second")
    assert complete("run", "status", "") == ["second", "first"]
    assert complete("run", "kill", "") == []
    shutil.rmtree(client_home / ".local/state/podops")
    assert complete("run", "tail", "") == []


def test_completion_stays_silent_whatever_is_wrong_with_the_project(
    complete: Callable[..., list[str]], world: Path
) -> None:
    file = world / "project/configs/ops/project.yaml"
    assert complete("run", "submit", "--preset", "", cwd=world) == []
    for content in ("pods: [", "pods: {a b: 1}\npresets: 7\n", "\0\0", ""):
        file.write_text(content)
        assert complete("run", "submit", "--preset", "") == []
    assert complete("run", "su") == ["submit"]


@BOTH_TRANSPORTS
def test_no_secret_of_the_submitting_shell_is_seen_anywhere(
    ops: Ops, start_ops: StartOps, pod: Reached, run: str, tmux_socket: str, world: Path
) -> None:
    tail = start_ops("run", "tail", "-f", run, env=SECRETS)
    tail.read_line()
    ours = processes_with_env(str(world))
    lines = [command_line(pid) for pid in ours]
    assert any(" supervise " in line for line in lines) and any("command.sh" in line for line in lines)
    assert CANARY not in "\n".join(command_line(int(entry.name)) for entry in Path("/proc").glob("[0-9]*"))
    with_secret = {
        pid for pid in processes_with_env(CANARY) if " supervise " in command_line(pid) or "tmux" in command_line(pid)
    }
    assert not with_secret, "neither the supervisor nor tmux has it in its environment"
    for scope in (["-g"], ["-t", "=run-r1"]):
        shown = subprocess.run(
            ["tmux", "-L", tmux_socket, "show-environment", *scope], capture_output=True, text=True, check=True
        ).stdout
        assert CANARY not in shown
    for words in (("run", "status", run), ("run", "status", run, "--json"), ("run", "status", "nothing", "--json")):
        answer = ops(*words, env=SECRETS)
        assert CANARY not in answer.stdout + answer.stderr
    pod.go.touch()
    assert CANARY.encode() not in tail.rest(), "the run prints its environment"
    assert ops("run", "wait", run, env=SECRETS).returncode == 0
    files = [path for path in (*pod.runs.rglob("*"), *(pod.home / ".cache").rglob("*")) if path.is_file()]
    assert any(path.name == "summary.json" for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def test_a_terminal_without_unicode_is_no_error(ops: Ops, project: MakeProject) -> None:
    project("here", presets={"smile": {"kind": "command", "command": "echo \U0001f600"}})
    words = ("run", "submit", "--preset", "smile", "--dry-run")
    old_terminal = {"PYTHONIOENCODING": "latin-1"}
    shown = ops(*words, env=old_terminal)
    assert (shown.returncode, shown.stderr) == (0, "") and "echo ?" in shown.stdout
    assert ops(*words, "--json", env=old_terminal).json["command"] == "echo \U0001f600"
