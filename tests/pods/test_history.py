"""What a user can rely on once a pod has been seen: it is not forgotten, and nothing old is taken for new."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml

from tests.pods import hostile
from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops
from tests.pods.loopback import SshPod

PRESETS = {"say": {"kind": "command", "command": "for i in 1 2 3; do echo line $i; done"}}


def database(home: Path) -> Path:
    return home / ".local/state/podops/history.db"


@pytest.fixture
def seen(ssh_pod: MakeSshPod, project: MakeProject, ops: Ops) -> SshPod:
    """A pod on which the run `r1` has ended, looked at by commands, and then switched off."""
    pod = ssh_pod("a100")
    project(pod, presets=PRESETS)
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1").returncode == 0
    assert ops("run", "wait", "r1").returncode == 0
    assert ops("run", "status", "r1", "--json").json["source"] == "pod"
    pod.stop()
    return pod


def rewrite(project_file: Path, **changes: object) -> None:
    content = yaml.safe_load(project_file.read_text())
    project_file.write_text(yaml.safe_dump(content | changes))


def test_a_run_is_told_as_old_while_its_pod_is_away_and_the_exit_code_says_so(seen: SshPod, ops: Ops) -> None:
    told = ops("run", "status", "r1", "--json")
    assert told.returncode == 4
    assert (told.json["state"], told.json["source"], told.json["ok"]) == ("succeeded", "history", False)
    assert told.json["as_of"] and told.json["error"]["code"] == "unreachable"
    assert told.json["stdout_tail"] == ["line 1", "line 2", "line 3"]
    assert told.json["summary"]["ok"] is True
    assert "refused the connection" in told.stderr and "this is what was known" in told.stderr
    tail = ops("run", "tail", "r1", "-n", "2")
    assert (tail.returncode, tail.stdout) == (4, "line 2\nline 3\n")
    (line,) = ops("run", "tail", "r1", "-n", "1", "--json").json_lines
    assert (line["text"], line["offset"], line["source"]) == ("line 3\n", 14, "history")
    assert ops("run", "status", "r2", "--json").json["error"]["code"] == "unreachable"
    assert ops("run", "list", "--json").json["runs"] == []
    listed = ops("run", "list", "--all", "--json")
    assert listed.returncode == 4
    assert "shown with --all" in ops("run", "list").stderr
    (run,) = listed.json["runs"]
    assert (run["run_id"], run["state"], run["source"], bool(run["as_of"])) == ("r1", "succeeded", "history", True)
    assert "as of " in ops("run", "list", "--all").stdout
    status = ops("status", "--json")
    assert status.returncode == 0 and status.json["runs"][0]["source"] == "history"
    (pod,) = status.json["pods"]
    assert (pod["state"], pod["source"], bool(pod["as_of"])) == ("unreachable", "history", True)
    assert pod["last_seen"] and pod["host"]["python"]
    page = ops("pod", "status", "a100")
    assert page.returncode == 4 and "tools    python" in page.stdout and "run      r1  succeeded" in page.stdout
    (sample, *_) = ops("pod", "history", "a100", "--json").json["samples"]
    assert sample["memory_used_bytes"] > 0 and sample["over_s"] == 1
    assert "OVER" in ops("pod", "history", "a100", "--since", "2h").stdout
    shown = ops("status").stdout
    assert "last seen" in shown and "as of " in shown


@pytest.mark.parametrize(
    "words",
    ["pod status a100", "run list --pod a100", "queue list --pod a100", "run status r1", "run tail nope --pod a100"],
)
def test_what_to_do_about_a_pod_that_refuses_is_told_also_once_it_is_remembered(
    seen: SshPod, ops: Ops, words: str
) -> None:
    seen.start()
    (seen.root / "authorized_keys").write_text("")
    told = ops("--no-share", *words.split())
    assert told.returncode == 4
    assert f"hint: add {seen.user_key}.pub to ~/.ssh/authorized_keys" in told.stderr, told.stderr
    if "list" in words:
        (pod,) = ops("--no-share", *words.split(), "--json").json["unreachable"]
        assert (pod["state"], pod["hint"][:4]) == ("refused", "add ")


def test_the_end_of_a_log_is_told_with_its_own_age(seen: SshPod, ops: Ops, client_home: Path) -> None:
    with contextlib.closing(sqlite3.connect(database(client_home))) as connection, connection:
        connection.execute("UPDATE logs SET seen_at = seen_at - 2 * 86400, complete = 0")
    for words in (("run", "tail", "r1"), ("run", "search", "r1", "line")):
        said, *_ = ops(*words).stderr.splitlines()
        assert "known of its log 2d" in said, words
    run, log, *_ = ops("run", "status", "r1").stderr.splitlines()
    assert "what was known" in run and "2d" not in run
    assert "its log is as it was 2d" in log


def test_a_run_whose_directory_was_deleted_is_told_as_gone_at_the_first_look(
    ops: Ops, project: MakeProject, client_home: Path
) -> None:
    project("here", presets=PRESETS)
    assert ops("run", "submit", "--preset", "say", "--run-id", "r1").returncode == 0
    assert ops("run", "wait", "r1").returncode == 0
    with contextlib.closing(sqlite3.connect(database(client_home))) as connection, connection:
        connection.execute("UPDATE runs SET seen_at = seen_at - 3600")
    (there,) = ops("run", "list", "--json").json["runs"]
    assert (there["source"], there["gone_at"]) == ("pod", None)
    shutil.rmtree(client_home / "runs/r1")
    (gone,) = ops("run", "list", "--all", "--json").json["runs"]
    assert gone["source"] == "history" and gone["as_of"] < gone["gone_at"]
    assert ops("run", "status", "r1", "--json").json["gone_at"]
    listed = ops("run", "list", "--all")
    assert "as of 1h" in listed.stdout and "its directory is gone from the pod" in listed.stdout
    told = ops("run", "status", "r1")
    assert told.returncode == 3 and "its directory is gone from the pod; this is what was known 1h" in told.stderr


def test_a_pod_that_was_renamed_keeps_its_runs_and_its_old_name_does_not(
    seen: SshPod, ops: Ops, ssh_pod: MakeSshPod, world: Path
) -> None:
    other = ssh_pod("other")
    other.stop()
    entry = {"ssh": seen.alias, "ssh_config": str(seen.ssh_config)}
    now_else = {"ssh": other.alias, "ssh_config": str(other.ssh_config)}
    rewrite(world / "project/configs/ops/project.yaml", pods={"renamed": entry, "a100": now_else})
    status = ops("status", "--json").json
    pods = {pod["name"]: pod for pod in status["pods"]}
    assert (pods["renamed"]["source"], pods["a100"]["source"]) == ("history", "pod")
    assert pods["a100"]["last_seen"] is None
    assert [(run["run_id"], run["pod"]) for run in status["runs"]] == [("r1", "renamed")]
    # And a pod that has left the project file is remembered by the name it had.
    rewrite(world / "project/configs/ops/project.yaml", pods={"here": {"local": True}})
    told = ops("run", "status", "r1", "--json")
    assert told.returncode == 3 and told.json["source"] == "history" and told.json["pod"] == "a100"
    listed = ops("run", "list", "--all")
    assert listed.returncode == 0 and "no longer in the project file" in listed.stdout


def test_what_is_remembered_of_a_pod_that_left_the_project_file_is_told_as_that(
    seen: SshPod, ops: Ops, world: Path
) -> None:
    assert seen.name == "a100"
    rewrite(world / "project/configs/ops/project.yaml", pods={"here": {"local": True}})
    told, hint = "run r1 was on pod a100, which is no longer in the project file", "ops run list --all --pod a100"
    for words in (("status", "r1"), ("tail", "r1"), ("search", "r1", "line 2")):
        answer = ops("run", *words)
        assert answer.returncode == 3 and "line 2" in answer.stdout
        assert answer.stderr.startswith(f"{told}; this is what was known ") and hint in answer.stderr
    assert ops("run", "status", "r1", "--json").json["error"]["message"] == told
    listed = ops("run", "list", "--all", "--pod", "a100")
    assert listed.returncode == 3 and "r1   a100  say     succeeded" in listed.stdout
    assert listed.stderr.startswith("pod a100 is no longer in the project file; this is what is remembered of it\n")
    document = ops("run", "list", "--all", "--pod", "a100", "--json").json
    assert ([run["source"] for run in document["runs"]], document["ok"]) == (["history"], False)
    for words in (("--pod", "a100"), ("--all", "--pod", "other")):
        assert "error: there is no pod" in (answer := ops("run", "list", *words)).stderr and answer.returncode == 3


@pytest.mark.parametrize("kind", ["damaged", "newer"])
def test_a_history_that_cannot_be_read_is_kept_aside_and_begun_anew(
    ops: Ops, project: MakeProject, client_home: Path, kind: str
) -> None:
    project("here", presets=PRESETS)
    assert ops("run", "list").stderr == ""
    file = database(client_home)
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    if kind == "newer":
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    else:
        file.write_bytes(b"not a database at all" * 1000)
    content = file.read_bytes()
    answer = ops("run", "list", "--json")
    assert answer.returncode == 0 and answer.json["ok"]
    assert "a new one begun" in answer.stderr
    checks = {check["what"]: check for check in ops("doctor", "--json").json["checks"]}
    assert str(file) in checks["history"]["message"] and "pods 1," in checks["history"]["message"]
    (aside,) = file.parent.glob(f"history.{kind}-*.db")
    assert aside.read_bytes() == content
    assert ops("run", "list").stderr == ""


def test_without_a_place_for_a_history_everything_works_and_it_is_said_once(
    ops: Ops, project: MakeProject, world: Path
) -> None:
    project("here", presets=PRESETS)
    (world / "file").touch()
    answer = ops("status", "--json", env={"OPS_STATE_DIR": str(world / "file/state")})
    assert answer.returncode == 0 and answer.json["pods"][0]["state"] == "live"
    assert answer.stderr.count("no history is kept") == 1 and len(answer.stderr.splitlines()) == 1


def test_no_history_is_kept_when_the_project_wants_none(ops: Ops, project: MakeProject, client_home: Path) -> None:
    project("here", presets=PRESETS)
    assert ops("status", env={"OPS_HISTORY__ENABLED": "false"}).returncode == 0
    assert not database(client_home).exists()


def test_what_is_remembered_of_a_run_is_all_that_its_pod_told_of_it(
    ops: Ops, project: MakeProject, ssh_pod: MakeSshPod
) -> None:
    pod = ssh_pod("a100")
    again = {"kind": "command", "command": "echo try $OPS_ATTEMPT; exit 3", "retries": {"max": 1, "backoff": "1s"}}
    project(pod, presets={"again": again})
    assert ops("run", "submit", "--preset", "again", "--run-id", "r1").returncode == 0
    assert ops("run", "wait", "r1").returncode == 1
    live = ops("run", "status", "r1", "--json").json
    assert [(one["attempt"], one["reason"]) for one in live["attempts"]] == [(1, "nonzero_exit"), (2, "nonzero_exit")]

    def page() -> list[str]:
        """Without how long ago it ended."""
        return [re.sub(r", \w+ ago", "", line) for line in ops("run", "status", "r1").stdout.splitlines()]

    told = page()
    pod.stop()
    remembered = ops("run", "status", "r1", "--json").json
    assert live["heartbeat"].pop("age_s") < remembered["heartbeat"].pop("age_s")
    changed = {name for name in live if live[name] != remembered[name]}
    assert changed == {"source", "as_of"} and set(remembered) - set(live) == {"error"}
    assert page() == told and any("EVIDENCE" in line for line in told)
    assert any(re.fullmatch(r"ended      20[-0-9]{8} [:0-9]{8} · exit code 3", line) for line in told), told


def test_a_remembered_log_steers_a_terminal_as_little_as_a_live_one(
    ops: Ops, open_ops: OpenOps, project: MakeProject, ssh_pod: MakeSshPod
) -> None:
    pod = ssh_pod("a100")
    # So that what is kept begins within a sequence, and ends in an unfinished one.
    command = f"echo {'x' * 70_000}; python3 {hostile.__file__} steering; printf 'end \\033]0;owned'"
    project(pod, presets={"steering": {"kind": "command", "command": command}})
    ops("run", "submit", "--preset", "steering", "--run-id", "r1")
    ops("run", "wait", "r1")
    ops("run", "status", "r1")
    printed = (pod.outputs_dir / "r1/stdout.log").read_bytes()
    pod.stop()
    tail = ops("run", "tail", "r1", "-n", "2", "--json")
    assert tail.stdout.rstrip("\n").isprintable()
    assert tail.json_lines[0]["text"].encode() == b"\n".join(printed.split(b"\n")[-2:])
    everything: tuple[tuple[str, ...], ...] = (("run", "tail", "r1"), ("run", "status", "r1"), ("run", "list", "--all"))
    for words in everything:
        terminal = open_ops(*words)
        assert terminal.ended() == 4
        assert hostile.stray(terminal.output) == b"", words
        assert b"owned" not in terminal.output or words[1] == "status"
