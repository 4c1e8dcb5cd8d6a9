"""Whatever is wrong, `ops` names the thing and the cure, leaves with the right exit code, and shows no traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podops_runners import process
from tests.pods.conftest import MakeProject, MakeSshPod, Ops
from tests.pods.fleet_config import hand_made_run
from tests.pods.loopback import POD_PATH, SshPod, free_port, make_key, processes_with_env, wait_for
from tests.pods.ops_process import ops_words
from tests.pods.volumes import fill, small_volume

PRESETS = {
    "hello": {"kind": "command", "command": "echo hello"},
    "evaluate": {"kind": "eval", "command": "true {overrides}", "overrides": {"num_examples": 2}},
}
SUBMIT = ("run", "submit", "--preset", "hello")


@dataclass(frozen=True)
class Told:
    """What a failed command said, to a person and as JSON."""

    code: str
    message: str
    hint: str
    faults: list[str]


def told(ops: Ops, exit_code: int, *words: str, **how: Any) -> Told:
    """Run `ops` for a person and with --json: both fail with `exit_code` and say the same, without a traceback."""
    for_person, for_script = ops(*words, **how), ops(*words, "--json", **how)
    assert (for_person.returncode, for_script.returncode) == (exit_code, exit_code), (for_person, for_script)
    assert "Traceback" not in for_person.stderr + for_script.stderr, for_person
    document = for_script.json
    assert document["ok"] is False
    error = document["error"]
    assert for_person.stdout == "", "what went wrong goes to standard error"
    assert error["message"] and error["hint"], "neither the thing nor the cure may be missing"
    for line in (f"error: {error['message']}", f"hint: {error['hint']}", *error.get("faults", ())):
        assert line in for_person.stderr
    return Told(error["code"], error["message"], error["hint"], error.get("faults", []))


@dataclass(frozen=True)
class Reached:
    """A pod reached by one of the transports. `runs` is its outputs root."""

    transport: str
    name: str
    runs: Path
    ssh: SshPod | None


LOCALLY = pytest.mark.parametrize("pod", ["local"], indirect=True)


@pytest.fixture(params=["ssh", "local"])
def pod(request: pytest.FixtureRequest, ssh_pod: MakeSshPod, project: MakeProject, client_home: Path) -> Reached:
    """A project with one pod of this transport."""
    ssh = ssh_pod("a100") if request.param == "ssh" else None
    project(ssh or "a100", presets=PRESETS)
    return Reached(request.param, "a100", (ssh.home if ssh else client_home) / "runs", ssh)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield int(server.getsockname()[1])


def tools(folder: Path, *names: str) -> str:
    """A PATH that has these programs and no other."""
    folder.mkdir()
    for name in names:
        program = shutil.which(name, path=POD_PATH)
        assert program is not None, name
        (folder / name).symlink_to(program)
    return str(folder)


def events_of(run_dir: Path) -> dict[str, Any]:
    """The events of a run by their names."""
    return {event["event"]: event for event in map(json.loads, (run_dir / "events.jsonl").read_text().splitlines())}


def test_no_project_file_is_told_with_the_ways_to_get_one(ops: Ops, world: Path) -> None:
    error = told(ops, 2, "status", cwd=world)
    assert "no project file" in error.message
    assert "configs/ops/project.yaml" in error.hint and "--config" in error.hint and "ops demo" in error.hint
    error = told(ops, 2, "--config", "elsewhere.yaml", "run", "list", cwd=world)
    assert "elsewhere.yaml" in error.message


def test_every_fault_of_a_project_file_is_told_at_once_with_its_line(ops: Ops, project: MakeProject) -> None:
    made = project("here", presets={"x": {"kind": "trian", "command": "true", "stall_timeout": "soon"}}, podz={})
    error = told(ops, 2, "run", "list")
    assert error.code == "config" and "3 faults" in error.message
    lines = made.file.read_text().splitlines()
    for fault, key, cure in zip(
        error.faults, ("kind:", "stall_timeout:", "podz:"), ("train", "90s", "pods"), strict=True
    ):
        number = next(n for n, line in enumerate(lines, 1) if line.strip().startswith(key))
        assert fault.startswith(f"{made.file}:{number}: ") and cure in fault, fault


def test_a_project_file_that_is_not_yaml_is_told_with_the_line(ops: Ops, project: MakeProject) -> None:
    made = project("here")
    made.file.write_text("project: {name: demo\npods:\n  here: {local: true}\n")
    (fault,) = told(ops, 2, "status").faults
    assert fault.startswith(f"{made.file}:2: is not valid YAML")


@pytest.mark.parametrize(("text", "kind"), [("- project\n- pods\n", "a list"), ("hello\n", "a single value")])
def test_a_project_file_without_keys_is_told_as_such(ops: Ops, project: MakeProject, text: str, kind: str) -> None:
    made = project("here")
    made.file.write_text(text)
    (fault,) = told(ops, 2, "status").faults
    assert fault.startswith(f"{made.file}:1: must be a mapping of keys, not {kind}")


def test_an_unknown_name_is_told_with_the_nearest_one(ops: Ops, project: MakeProject) -> None:
    project("laptop", presets=PRESETS)
    mistakes = {
        ("run", "submit", "--preset", "helo"): ("preset 'helo'", "did you mean 'hello'?"),
        ("run", "submit", "--preset", "hello", "--pod", "labtop"): ("pod 'labtop'", "did you mean 'laptop'?"),
        ("run", "list", "--pod", "labtop"): ("pod 'labtop'", "did you mean 'laptop'?"),
        ("pod", "status", "labtop"): ("pod 'labtop'", "did you mean 'laptop'?"),
        ("doctor", "--pod", "zzz"): ("pod 'zzz'", "known: laptop"),
        ("run", "wait", "nothing"): ("run 'nothing'", "ops run list"),
    }
    for words, (named, cure) in mistakes.items():
        error = told(ops, 3, *words)
        assert error.code == "not_found" and named in error.message and cure in error.hint, error


def test_a_preset_or_pod_typed_without_its_option_is_told_with_it(ops: Ops, project: MakeProject) -> None:
    project("laptop", presets=PRESETS)
    mistakes = {
        ("hello", "laptop"): "write --preset hello --pod laptop",
        ("hello", "--pod", "laptop", "--dry-run"): "write --preset hello",
        ("--preset", "hello", "laptop", "a=1"): "write --pod laptop",
        ("helo",): "did you mean 'hello'?",
        ("a=1",): "known: ",
    }
    for words, cure in mistakes.items():
        error = told(ops, 2, "run", "submit", *words)
        assert error.code == "usage" and error.hint.startswith(cure), error


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tail r", "run tail"),
        ("logs r", "run tail"),
        ("hold r", "queue hold"),
        ("run logs r", "tail"),
        ("run ls", "list"),
    ],
)
def test_a_command_called_as_in_other_tools_or_without_its_group_leads_to_it(ops: Ops, typed: str, meant: str) -> None:
    error = told(ops, 2, *typed.split())
    assert error.message.endswith(f"Did you mean {meant!r}?"), error


def test_a_wrong_option_value_is_told_with_the_right_ones(ops: Ops, project: MakeProject) -> None:
    project("laptop", presets=PRESETS)
    mistakes = {
        ("run", "list", "--state", "runing"): "running",
        ("run", "submit", "--preset", "hello", "--gpus", "many"): "`all`",
        ("run", "submit", "--preset", "evaluate", "num_examples"): "KEY=VALUE",
        ("run", "submit", "--preset", "evaluate", "num_examples=few"): "num_examples",
        ("run", "submit"): "--preset",
        ("run", "sbmit"): "submit",
        ("doctr",): "doctor",
    }
    for words, named in mistakes.items():
        error = told(ops, 2, *words)
        assert error.code == "usage" and named in error.message + error.hint, error


@LOCALLY
def test_a_run_id_that_could_leave_the_outputs_root_is_refused_everywhere(ops: Ops, pod: Reached) -> None:
    before = set(pod.runs.parent.rglob("*"))
    for run_id in ("../../x", "/etc", "..", ".hidden", "a b", "a\nb", "$(id)", "x" * 300):
        refused = ops(*SUBMIT, f"--run-id={run_id}", "--json")
        assert refused.returncode == 2 and repr(run_id)[1:9] in refused.json["error"]["message"], refused
    made = {path.relative_to(pod.runs.parent).parts[0] for path in set(pod.runs.parent.rglob("*")) - before}
    assert made <= {".cache"}, "nothing was made for a refused id"
    for words in (("status",), ("tail",), ("wait",), ("kill", "--yes")):
        assert "../../x" in told(ops, 3, "run", *words, "../../x").message


def test_a_pod_that_cannot_be_reached_is_told_within_the_time_limit(
    ops: Ops, project: MakeProject, silent_port: int
) -> None:
    pods = {
        "closed": {"ssh": "root@127.0.0.1", "port": free_port()},
        "silent": {"ssh": "root@127.0.0.1", "port": silent_port},
        "nowhere": {"ssh": "root@no-such-pod.invalid"},
    }
    project(presets=PRESETS, pods=pods)
    expected = {"closed": "refused the connection", "silent": "within [12] s", "nowhere": "cannot be resolved"}
    for name, reason in expected.items():
        # Without the limit podops would wait for 15 s; the others answer at once.
        limit = ("--timeout", "2") if name == "silent" else ()
        error = told(ops, 4, *limit, *SUBMIT, "--pod", name, timeout=12)
        assert error.code == "unreachable" and re.search(reason, error.message) and f"pod {name}" in error.message
        assert error.hint
    listed = ops("--timeout", "2", "run", "list", "--json")
    assert listed.returncode == 4
    assert {pod["name"]: pod["state"] for pod in listed.json["unreachable"]} == dict.fromkeys(expected, "unreachable")
    found = ops("--timeout", "2", "doctor", "--json")
    assert found.returncode == 1
    cures = {check["subject"]: check["hint"] for check in found.json["checks"] if check["what"] == "link"}
    assert set(cures) == {f"pod {name}" for name in expected} and all(cures.values())


def test_a_refused_key_is_told_with_what_was_tried_and_the_cure(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject
) -> None:
    pod = ssh_pod("a100")
    (pod.root / "authorized_keys").write_text("")
    project(pod, presets=PRESETS)
    error = told(ops, 4, *SUBMIT)
    assert error.code == "auth_refused" and "pod a100" in error.message and str(pod.user_key) in error.message
    assert f"add {pod.user_key}.pub to ~/.ssh/authorized_keys" in error.hint
    assert ops("pod", "list", "--json").json["pods"][0]["state"] == "refused"


def test_an_unknown_and_a_changed_host_key_are_told_apart(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject, world: Path
) -> None:
    pod = ssh_pod("a100")
    project(pod, presets=PRESETS)
    trusted = pod.known_hosts.read_text()
    pod.known_hosts.write_text("")
    unknown = told(ops, 4, *SUBMIT)
    assert unknown.code == "host_key_unknown" and f"[127.0.0.1]:{pod.port}" in unknown.message
    assert f"ssh-keyscan -p {pod.port} 127.0.0.1 >> {pod.known_hosts}" in unknown.hint
    other = make_key(world / "other").with_suffix(".pub").read_text()
    pod.known_hosts.write_text(f"[127.0.0.1]:{pod.port} {other}")
    changed = told(ops, 4, "run", "status", "x")
    assert "has changed" in changed.message
    assert not pod.outputs_dir.exists(), "nothing was sent to a host that is not the one we know"
    pod.known_hosts.write_text(trusted)
    assert ops(*SUBMIT).returncode == 0


def test_a_pod_without_python3_is_told_with_the_cure(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject, world: Path
) -> None:
    project(ssh_pod("bare", path=tools(world / "bin", "bash", "tmux")), presets=PRESETS)
    error = told(ops, 4, *SUBMIT)
    assert error.code == "pod_setup" and "python3 is not installed on pod bare" in error.message
    assert "install Python 3.8 or later" in error.hint
    failed = [check for check in ops("doctor", "--json").json["checks"] if check["level"] == "fail"]
    assert [(check["subject"], check["hint"]) for check in failed] == [("pod bare", error.hint)]


def test_a_pod_without_tmux_is_told_before_anything_is_made(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject, world: Path
) -> None:
    bare = ssh_pod("bare", path=tools(world / "bin", "bash", "python3"))
    project(bare, presets=PRESETS)
    error = told(ops, 1, *SUBMIT)
    assert error.code == "no_tmux" and "tmux is not installed on pod bare" in error.message
    assert "apt-get install tmux" in error.hint and "tmux.enabled: false" in error.hint
    assert list(bare.outputs_dir.iterdir()) == []
    assert "tmux: not installed" in ops("doctor").stdout
    project(bare, presets=PRESETS, tmux={"enabled": False, "watch_interval_sec": 1})
    run_id = ops(*SUBMIT, "--json").json["run_id"]
    assert ops("run", "wait", run_id).returncode == 0, "the cure that was told works"


def test_a_tmux_that_hangs_keeps_no_run_from_its_start_and_nobody_waits_for_it_twice(
    ops: Ops, ssh_pod: MakeSshPod, project: MakeProject, world: Path
) -> None:
    path = tools(world / "bin", "bash", "python3", "sleep")
    (world / "bin/tmux").write_text("#!/bin/bash\nexec sleep 1000\n")
    (world / "bin/tmux").chmod(0o755)
    pod = ssh_pod("hung", path=path)
    project(pod, presets=PRESETS)
    for run_id in ("first", "second"):
        assert ops(*SUBMIT, "--run-id", run_id, timeout=60).returncode == 0
        assert ops("run", "wait", run_id).returncode == 0
    why = [events_of(pod.outputs_dir / run_id)["no_session"]["detail"] for run_id in ("first", "second")]
    assert re.match(r"tmux did not answer (within \d s|a moment ago)", why[0])
    assert why[1] == "tmux did not answer a moment ago"
    assert "tmux: does not run: no answer within 3 s" in ops("doctor").stdout


def test_an_outputs_root_that_cannot_be_made_is_told_with_the_cure(ops: Ops, pod: Reached) -> None:
    pod.runs.write_text("in the way")
    error = told(ops, 1, *SUBMIT)
    assert error.code == "unwritable" and str(pod.runs) in error.message
    assert "remote_outputs_dir" in error.hint
    assert pod.runs.read_text() == "in the way"


def test_an_outputs_root_that_cannot_be_read_hides_no_run_without_a_word(ops: Ops, pod: Reached) -> None:
    ops(*SUBMIT, "--run-id", "r1")
    ops("run", "wait", "r1")
    pod.runs.rename(pod.runs.with_name("moved"))
    pod.runs.write_text("in the way\n")
    why = f"the outputs root {pod.runs} cannot be read: Not a directory"
    listed = ops("run", "list", "--json")
    assert (listed.returncode, listed.json["runs"]) == (4, [])
    assert [(away["name"], away["reason"]) for away in listed.json["unreachable"]] == [("a100", why)]
    assert why in ops("status").stdout
    for words in (("status", "r1"), ("tail", "r1")):
        shown = ops("run", *words)
        assert (shown.returncode, why in shown.stderr) == (4, True), shown
    assert why in told(ops, 4, "run", "kill", "--yes", "r1").message
    pod.runs.unlink()
    pod.runs.with_name("moved").rename(pod.runs)
    assert ops("run", "status", "r1").returncode == 0


def test_a_read_only_outputs_root_is_told_and_its_runs_stay_readable(ops: Ops, pod: Reached) -> None:
    with small_volume(pod.runs) as volume:
        assert ops(*SUBMIT, "--run-id", "before").returncode == 0
        assert ops("run", "wait", "before").returncode == 0
        subprocess.run(["mount", "-o", "remount,ro", volume], check=True)
        error = told(ops, 1, *SUBMIT)
        assert error.code == "unwritable" and "Read-only file system" in error.message
        assert ops("run", "tail", "before").stdout == "hello\n"


@LOCALLY
def test_a_run_whose_end_does_not_fit_on_its_volume_is_shown_with_that_for_as_long_as_it_lasts(
    ops: Ops, pod: Reached, project: MakeProject, world: Path
) -> None:
    line = f"until [ -e {world / 'go'} ]; do sleep 0.1; done; exit 4"
    project(pod.name, presets={"slow": {"kind": "command", "command": line}})
    full = "the volume is full: what it tells is not recorded; it has ended: failed (nonzero_exit)"
    with small_volume(pod.runs) as volume:
        ops("run", "submit", "--preset", "slow", "--run-id", "r1")
        beat = volume / "r1/heartbeat.txt"
        wait_for(lambda: beat.exists() and " running " in beat.read_text(), "its supervisor to watch it")
        ballast = fill(volume)
        (world / "go").touch()
        wait_for(lambda: ops("run", "status", "r1", "--json").json["problems"] == [full], "what is wrong with it")
        assert full in ops("run", "list").stdout and full in ops("run", "status", "r1").stdout
        ballast.unlink()
        assert ops("run", "wait", "r1").returncode == 1
        shown = ops("run", "status", "r1", "--json").json
        assert (shown["state"], shown["exit_code"], shown["problems"]) == ("failed", 4, [])


@LOCALLY
def test_an_outputs_root_whose_volume_is_read_only_is_no_root_that_a_submit_makes(
    ops: Ops, pod: Reached, project: MakeProject
) -> None:
    with small_volume(pod.runs, "ro") as volume:
        root = volume / "mine/runs"
        project("a100", project={"name": "demo", "remote_outputs_dir": str(root)}, presets=PRESETS)
        why = f"cannot be made: {volume} is on a read-only file system"
        checks = {check["what"]: check for check in ops("doctor", "--json").json["checks"]}
        found = checks["remote_outputs_dir"]
        assert found["level"] == "fail" and f"{root} does not exist and {why}" in found["message"], found
        assert "set remote_outputs_dir" in found["hint"] and not found.get("fix"), found
        for words in (("doctor",), ("status",), ("pod", "list")):
            shown = ops(*words).stdout
            assert why in shown and "submit makes it" not in shown, shown
        error = told(ops, 1, *SUBMIT)
        assert error.code == "unwritable" and "set remote_outputs_dir" in error.hint


def test_a_submit_to_a_full_volume_is_refused_and_leaves_nothing(ops: Ops, pod: Reached) -> None:
    with small_volume(pod.runs) as volume:
        ballast = fill(volume)
        error = told(ops, 1, *SUBMIT)
        assert error.code == "disk_full" and f"no space left on {volume}" in error.message
        assert "free some space" in error.hint
        assert list(volume.iterdir()) == [ballast]
        ballast.unlink()
        assert ops(*SUBMIT).returncode == 0


def test_a_run_survives_a_volume_that_fills_up_and_is_recorded_once_there_is_room(
    ops: Ops, pod: Reached, project: MakeProject, world: Path
) -> None:
    full, go, survived = (world / name for name in ("full", "go", "survived"))
    command = (
        f"echo begin; cat /dev/zero > ballast; touch {full}; until [ -e {go} ]; do sleep 0.1; done; "
        f"touch {survived}; exit 0"
    )
    project(pod.ssh or pod.name, presets={"hog": {"kind": "command", "command": command}})
    with small_volume(pod.runs, "size=2m") as volume:
        assert ops("run", "submit", "--preset", "hog", "--run-id", "hog").returncode == 0
        wait_for(full.exists, "the volume to fill up")
        assert ops("run", "status", "hog", "--json").json["state"] == "running"
        go.touch()
        wait_for(survived.exists, "the run to go on after its volume was full")
        claim = json.loads((volume / "hog/.ops/claim.json").read_text())
        wait_for(lambda: not Path(f"/proc/{claim['child']['pid']}").exists(), "the child to end")
        assert not (volume / "hog/summary.json").exists(), "there was no room for it"
        (volume / "hog/ballast").unlink()
        assert ops("run", "wait", "hog").returncode == 0
        summary = json.loads((volume / "hog/summary.json").read_text())
    assert (summary["ok"], summary["reason"], summary["exit_code"]) == (True, "ok", 0)


def test_a_pod_whose_home_is_full_is_told_with_the_cure(ops: Ops, ssh_pod: MakeSshPod, project: MakeProject) -> None:
    pod = ssh_pod("a100")
    project(pod, presets=PRESETS)
    with small_volume(pod.home / ".cache", "size=64k,mode=700") as volume:
        fill(volume)
        error = told(ops, 4, *SUBMIT)
    assert error.code == "pod_setup" and str(pod.home / ".cache/podops") in error.message
    assert "disk full" in error.hint


@LOCALLY
def test_what_may_not_be_read_is_named_and_hides_nothing_else(
    pod: Reached, ops: Ops, ops_env: Callable[..., dict[str, str]], world: Path, client_home: Path
) -> None:
    """Root, too, without the right to pass over permissions."""
    assert ops(*SUBMIT, "--run-id", "r1").returncode == 0
    assert ops("run", "wait", "r1").returncode == 0
    run, state = pod.runs / "r1", client_home / ".local/state/podops"
    file = world / "project/configs/ops/project.yaml"

    def without_rights(*words: str) -> tuple[int, str]:
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        words_of = [*drop, *ops_words(*words)]
        done = subprocess.run(words_of, cwd=world / "project", env=ops_env(), capture_output=True, text=True)
        assert "Traceback" not in done.stderr and "internal" not in done.stderr, done
        return done.returncode, done.stdout + done.stderr

    for path, words, code, message in (
        (file, ("status",), 2, f"{file}: cannot be read: Permission denied"),
        (state, ("run", "list"), 0, f"no history is kept: {state}: Permission denied"),
        (state / "history.db", ("run", "list"), 0, f"no history is kept: {state}/history.db: "),
        (run, ("run", "list"), 0, "its directory cannot be read: Permission denied"),
        (run / "stdout.log", ("run", "tail", "r1"), 4, "stdout.log cannot be read: Permission denied"),
        (run / "summary.json", ("run", "status", "r1"), 0, "summary.json cannot be read: Permission denied"),
        (world / "client-state", SUBMIT, 1, f"cannot write to {world}/client-state: Permission denied"),
    ):
        mode = path.stat().st_mode
        path.chmod(0)
        answer = without_rights(*words)
        path.chmod(mode)
        assert answer[0] == code and message in answer[1], (path, answer)
        assert "r1" in answer[1] or words != ("run", "list"), answer


@LOCALLY
def test_a_truncated_summary_is_told_and_the_run_is_not_taken_for_finished(ops: Ops, pod: Reached) -> None:
    ops(*SUBMIT, "--run-id", "cut")
    ops("run", "wait", "cut")
    summary = pod.runs / "cut/summary.json"
    summary.write_text(summary.read_text()[:40])
    status = ops("run", "status", "cut", "--json")
    assert status.returncode == 0
    assert (status.json["ok"], status.json["state"], status.json["summary"]) == (False, "lost", None)
    assert "summary.json is not valid JSON (truncated or edited by hand?)" in status.json["problems"]
    assert "summary.json is not valid JSON" in ops("run", "list").stdout
    assert ops("run", "wait", "cut").returncode == 1
    assert ops("run", "tail", "-f", "cut").stdout == "hello\n"


@LOCALLY
@pytest.mark.parametrize("script", ["sleep 600", "yes", "sleep 600 & sleep 600; true"])
def test_a_python3_that_is_none_is_told_and_leaves_no_process(
    ops: Ops, pod: Reached, client_home: Path, world: Path, script: str
) -> None:
    (world / "bin").mkdir()
    (world / "bin/python3").write_text(f"#!/bin/sh\n{script}\n")
    (world / "bin/python3").chmod(0o755)
    answer = ops("--timeout", "2", "run", "list", env={"PATH": f"{world / 'bin'}:{POD_PATH}"})
    assert answer.returncode == 4
    said, hint = answer.stderr.splitlines()
    assert said.startswith("pod a100 is unreachable: ") and hint.startswith("  hint: "), answer.stderr
    wait_for(lambda: processes_with_env(f"HOME={client_home}") == [], "everything to end")


@LOCALLY
def test_a_submit_that_is_too_long_to_be_recorded_is_refused_and_leaves_nothing(ops: Ops, pod: Reached) -> None:
    words = [f"k{number}={'y' * 100_000}" for number in range(15)]
    refused = told(ops, 2, "run", "submit", "--preset", "evaluate", "--run-id", "big", *words)
    assert refused.message == "run big is too long to be recorded: more than 4 MiB"
    assert not (pod.runs / "big").exists()


@LOCALLY
def test_a_summary_with_numbers_that_json_does_not_have_is_told_in_json(ops: Ops, pod: Reached) -> None:
    ops(*SUBMIT, "--run-id", "nan")
    ops("run", "wait", "nan")
    summary = pod.runs / "nan/summary.json"
    odd = '"last_metrics": {"loss": NaN, "lr": [Infinity, 1]}'
    summary.write_text(summary.read_text().replace('"last_metrics": {}', odd))
    shown = json.loads(ops("run", "status", "nan", "--json").stdout, parse_constant=pytest.fail)
    assert shown["summary"]["last_metrics"] == {"loss": None, "lr": [None, 1]}


@pytest.mark.parametrize("supervisor", ["lives", "is gone too"])
def test_a_run_whose_directory_is_removed_is_shown_as_such_and_can_still_be_killed(
    ops: Ops, pod: Reached, project: MakeProject, supervisor: str
) -> None:
    project(pod.ssh or pod.name, presets={"long": {"kind": "command", "command": "echo up; sleep 500 & sleep 500"}})
    ops("run", "submit", "--preset", "long", "--run-id", "r1")
    run, marked = pod.runs / "r1", f"OPS_RUN_DIR={pod.runs / 'r1'}"
    beat = run / "heartbeat.txt"
    wait_for(lambda: beat.exists() and " running " in beat.read_text(), "its supervisor to watch it", 30)
    pid = json.loads((run / ".ops/claim.json").read_text())["supervisor"]["pid"]
    while run.exists():  # a heartbeat may be written meanwhile
        shutil.rmtree(run, ignore_errors=True)
    if supervisor == "is gone too":
        os.kill(pid, signal.SIGKILL)
    (shown,) = ops("run", "list", "--json").json["runs"]
    assert (shown["run_id"], shown["state"], shown["pod"]) == ("r1", "running", "a100")
    assert shown["problems"][0].startswith("its directory is gone")
    assert "its directory is gone" in ops("run", "tail", "r1").stderr
    killed = ops("run", "kill", "--yes", "--grace", "1", "r1", "--json")
    assert (killed.returncode, killed.json["runs"][0]["state"]) == (0, "lost"), killed
    wait_for(lambda: processes_with_env(marked) == [] and process.start_ticks(pid) is None, "the end of all of it", 30)
    assert not run.exists(), "no half of a run has come to be"
    assert ops("run", "list", "--json").json["runs"] == []
    assert told(ops, 3, "run", "kill", "--yes", "r1").message == "there is no run 'r1'"


@LOCALLY
def test_directories_made_by_hand_are_shown_for_what_they_are(ops: Ops, pod: Reached) -> None:
    hand_made_run(pod.runs, "neat").write_text("copied from elsewhere\n")
    for run_id, name, content in (
        ("logonly", "stdout.log", "just a log\n"),
        ("nonsense", "run_spec.json", "[1, 2"),
        ("shapes", "summary.json", '{"ok": "yes", "state": ["x"], "elapsed_s": {}, "last_metrics": 7, "detail": null}'),
    ):
        (pod.runs / run_id).mkdir(parents=True)
        (pod.runs / run_id / name).write_text(content)
    (pod.runs / "folder/stdout.log").mkdir(parents=True)
    (pod.runs / "pipes").mkdir()
    for name in ("run_spec.json", "summary.json", "stdout.log", "heartbeat.txt", "metrics.jsonl"):
        os.mkfifo(pod.runs / "pipes" / name)
    (pod.runs / "notes").mkdir()
    (pod.runs / "README.md").write_text("not a run\n")
    (pod.runs / "loop").symlink_to("loop")
    listed = ops("run", "list", "--json")
    assert listed.returncode == 0, listed
    runs = {run["run_id"]: run for run in listed.json["runs"]}
    assert set(runs) == {"neat", "logonly", "nonsense", "shapes", "folder", "pipes"}
    assert {runs[name]["state"] for name in ("logonly", "nonsense", "folder", "pipes")} == {"lost"}
    assert runs["shapes"]["state"] == "failed"
    assert any("made by hand" in problem for problem in runs["logonly"]["problems"])
    assert ops("run", "tail", "logonly").stdout == "just a log\n"
    assert "made by hand" in ops("run", "status", "logonly").stdout
    nonsense = ops("run", "status", "nonsense").stdout
    assert "run_spec.json is not valid JSON" in nonsense
    assert "made by hand" not in nonsense and "preset" not in nonsense
    for run_id in runs:
        assert ops("run", "status", run_id, "--json").returncode == 0, run_id
    assert told(ops, 5, "run", "kill", "--yes", "logonly").message == "run logonly was never started by podops"
    empty = ops("run", "tail", "shapes")
    assert (empty.returncode, empty.stdout) == (0, "") and "shapes has printed nothing" in empty.stderr


@LOCALLY
def test_a_log_that_cannot_be_read_is_told_with_the_reason_and_not_as_empty(ops: Ops, pod: Reached) -> None:
    for run_id in ("folder", "pipe", "link"):
        hand_made_run(pod.runs, run_id).unlink()
    (pod.runs / "folder/stdout.log").mkdir()
    os.mkfifo(pod.runs / "pipe/stdout.log")
    (pod.runs / "link/stdout.log").symlink_to("stdout.log")
    no_file = "it is not a regular file"
    for run_id, why in (("folder", no_file), ("pipe", no_file), ("link", "Too many levels of symbolic links")):
        for words in (f"tail {run_id}", f"tail -f {run_id}", f"tail -n 0 {run_id}", f"search {run_id} x"):
            error = told(ops, 4, "run", *words.split())
            assert error.message.endswith(f"stdout.log cannot be read: {why}"), (words, error)
            assert f"ls -l {pod.runs / run_id}/stdout.log" in error.hint
