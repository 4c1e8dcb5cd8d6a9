"""W&B credentials on a pod: from the project's script into ~/.netrc, and nowhere else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from podops_runners import creds, creds_script, netrc_file
from tests.pods.conftest import MakeProject, OpenOps, Ops
from tests.pods.loopback import wait_for

KEY = "0123456789abcdef0123456789abcdef01234567"
OTHER_KEY = "fedcba9876543210fedcba9876543210fedcba98"
OLD, NEW = "api.wandb.ai", "api.forge.coreweave.com"
#: wandb takes none below 40 characters, and ends the run that has one.
SHORT = "export WANDB_API_KEY=0123456789abcdef0123456789abcdef\n"
EXPORTS = f"#!/bin/bash\n# the team's key\nexport WANDB_API_KEY={KEY}\n"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": ""}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of our own, for this process and the scripts it runs."""
    found = tmp_path / "home"
    found.mkdir()
    monkeypatch.setenv("HOME", str(found))
    monkeypatch.setenv("PODOPS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setitem(ENVIRONMENT, "HOME", str(found))
    yield found


def script(home: Path, text: str, mode: int = 0o700) -> Path:
    path = home.parent / "set-wandb-api-key.sh"
    path.write_text(text)
    path.chmod(mode)
    return path


def ensure(path: Path) -> bool:
    return creds.ensure_wandb_credentials(str(path), ENVIRONMENT).found


def stored(home: Path) -> dict[str, str]:
    return netrc_file.passwords(str(home / ".netrc"))


def test_a_script_that_only_exports_its_key_ends_in_netrc_for_both_hosts_and_only_once(home: Path) -> None:
    path = script(home, EXPORTS)
    assert ensure(path) and stored(home) == {OLD: KEY, NEW: KEY}
    netrc = home / ".netrc"
    before = (netrc.read_bytes(), netrc.stat().st_mtime_ns)
    assert stat.S_IMODE(netrc.stat().st_mode) == 0o600
    assert ensure(path) and (netrc.read_bytes(), netrc.stat().st_mtime_ns) == before


def test_every_other_entry_and_comment_stays_as_it_was(home: Path) -> None:
    kept = [
        "# mine",
        "machine github.com",
        "  login me",
        "  # a comment inside",
        "  password 'with #hash'",
        "machine example.org login a password b",
        "",
        "macdef init",
        "  cd /tmp",
        "",
        "default login anonymous password me@example.org",
    ]
    netrc = home / ".netrc"
    netrc.write_text("\n".join(kept) + "\n")
    netrc.chmod(0o644)
    before = stored(home)
    assert ensure(script(home, EXPORTS))
    lines = netrc.read_text().splitlines()
    assert [line for line in lines if line in kept] == kept
    assert stored(home) == {**before, OLD: KEY, NEW: KEY}
    assert lines.index(f"machine {NEW}") < lines.index(kept[-1]), "some programs read no further than `default`"
    assert stat.S_IMODE(netrc.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        f"set -eu\nexport WANDB_API_KEY={KEY}\nexit 0\n",
        f"WANDB_API_KEY={KEY}\nreturn 0\n",
        f"echo noise; echo {OTHER_KEY} >&2\nexport WANDB_API_KEY={KEY}; false\n",
        f'printf "machine {OLD}\\n login user\\n password {KEY}\\n" > ~/.netrc\nunset WANDB_API_KEY\n',
        f"#!{sys.executable}\nimport os\nopen(os.path.expanduser('~/.netrc'), 'w')"
        f".write('machine {OLD} login user password {KEY}')\n",
    ],
    ids=["exits", "returns", "prints", "writes-netrc-for-one-host", "python"],
)
def test_whichever_way_the_script_gives_it_the_key_is_found(home: Path, text: str) -> None:
    assert ensure(script(home, text)) and stored(home) == {OLD: KEY, NEW: KEY}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exit 3\n", "ended with exit status 3"),
        (f"echo {KEY}; echo {KEY} >&2; return 4\n", "ended with exit status 4"),
        ("kill -9 $$\n", "was ended by signal 9"),
        ("'", "ended with exit status "),
        ("#!/no/such/program\n", "cannot be run: No such file or directory"),
        ("export WANDB_API_KEY='not a key'\n", "ended well, but gave no key that W&B would take"),
        ("export WANDB_API_KEY=\n", "ended well, but gave no key that W&B would take"),
        (SHORT, "ended well, but gave no key that W&B would take"),
    ],
)
def test_a_script_without_a_key_leaves_everything_as_it_was_and_how_it_failed_is_told(
    home: Path, text: str, problem: str
) -> None:
    path = script(home, text)
    told = creds.ensure_wandb_credentials(str(path), ENVIRONMENT)
    assert not told.found and told.problem.startswith(f"{path} {problem}") and KEY not in told.problem
    assert creds.last_problem(str(path)) == told.problem
    assert not (home / ".netrc").exists()
    path.write_text(EXPORTS)
    assert creds.ensure_wandb_credentials(str(path), ENVIRONMENT) == (True, "")
    assert creds.last_problem(str(path)) == ""


def test_a_script_that_hangs_is_ended_and_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creds_script, "_LIMIT_S", 0.2)
    told = creds.ensure_wandb_credentials(str(script(home, "sleep 1000\n")), ENVIRONMENT)
    assert not told.found and told.problem.endswith("did not end within 0.2 s")


def test_a_script_that_begins_to_fail_leaves_the_key_from_before_in_use_and_is_told(home: Path) -> None:
    path = script(home, EXPORTS)
    assert ensure(path)
    path.write_text("exit 7\n")
    os.utime(path, ((home / ".netrc").stat().st_mtime + 5,) * 2)
    told = creds.ensure_wandb_credentials(str(path), ENVIRONMENT)
    assert told == (True, f"{path} ended with exit status 7; the credentials from before are used")
    assert stored(home) == {OLD: KEY, NEW: KEY}


def test_a_failing_script_is_told_by_submit_status_records_and_doctor_without_a_word_of_what_it_said(
    client_home: Path, project: MakeProject, ops: Ops
) -> None:
    path = script(client_home, f"echo the key is {KEY}; echo {KEY} >&2; WANDB_API_KEY_OLD={KEY}; exit 3\n")
    project("here", storage={"wandb": {"mode": "auto", "ensure_creds_script": str(path)}})
    expected = f"W&B credentials: {path} ended with exit status 3"
    submitted = ops("run", "submit", "--preset", "hello", "--pod", "here", "--run-id", "r")
    assert submitted.returncode == 0 and f"warning: {expected}\n" in submitted.stderr
    assert ops("run", "wait", "r").returncode == 0
    status = ops("run", "status", "r")
    assert f"problems   {expected}\n" in status.stdout
    told = ops("run", "status", "r", "--json").json
    assert told["problems"] == told["summary"]["warnings"] == [expected]
    doctor = ops("doctor")
    assert f"{path} ended with exit status 3 when it was run last" in doctor.stdout
    run_dir = Path(told["run_dir"])
    events = [json.loads(line) for line in (run_dir / "events.jsonl").read_text().splitlines()]
    assert [line["detail"] for line in events if line["event"] == "warning"] == [expected]
    printed = submitted.stderr + status.stdout + doctor.stdout + doctor.stderr
    kept = [one for one in (*run_dir.rglob("*"), *client_home.parent.rglob("*.json")) if one.is_file()]
    assert KEY not in printed and not [one for one in kept if KEY.encode() in one.read_bytes()]


def test_a_broken_netrc_is_left_to_a_person(home: Path) -> None:
    (home / ".netrc").write_text("machine a login b passwort c\n")
    assert not ensure(script(home, EXPORTS))
    assert (home / ".netrc").read_text() == "machine a login b passwort c\n"
    assert sorted(path.name for path in home.iterdir()) == [".netrc"]


def test_doctor_tells_of_a_netrc_that_cannot_be_parsed(client_home: Path, project: MakeProject, ops: Ops) -> None:
    (client_home / ".netrc").write_text(f"machine {OLD} login b passwort {KEY}\n")
    project("here", storage={"wandb": {"mode": "online", "ensure_creds_script": str(script(client_home, EXPORTS))}})
    told = ops("doctor")
    assert told.returncode == 1 and "~/.netrc cannot be parsed" in told.stdout and KEY not in told.stdout


def test_a_netrc_on_a_volume_stays_where_it_is(home: Path) -> None:
    volume = home.parent / "volume-netrc"
    volume.write_text("machine a login b password c\n")
    (home / ".netrc").symlink_to(volume)
    assert ensure(script(home, EXPORTS))
    assert (home / ".netrc").is_symlink() and f"machine {OLD}" in volume.read_text()


def test_a_key_that_was_changed_in_the_script_is_changed_in_netrc(home: Path) -> None:
    path = script(home, EXPORTS)
    assert ensure(path)
    path.write_text(EXPORTS.replace(KEY, OTHER_KEY))
    os.utime(path, ((home / ".netrc").stat().st_mtime + 5,) * 2)
    assert ensure(path) and stored(home) == {OLD: OTHER_KEY, NEW: OTHER_KEY}


def test_many_at_once_write_one_entry_for_each_host(home: Path) -> None:
    path = script(home, EXPORTS)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ensure, [path] * 16))
    assert (home / ".netrc").read_text().count("machine ") == 2


def test_the_key_stands_in_no_argument_list_and_no_environment_while_the_script_runs(home: Path) -> None:
    path = script(home, EXPORTS + "echo $$ > ~/pid; until [ -e ~/go ]; do read -t 0.05 < <(:) || :; done\n")
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(ensure, path)
        pid = home / "pid"
        wait_for(lambda: pid.exists() and pid.read_text().strip() != "", "the script to run")
        place = Path("/proc", pid.read_text().strip())
        seen = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        (home / "go").touch()
        assert result.result()
    assert b"set-wandb-api-key.sh" in seen and KEY.encode() not in seen


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_an_upgraded_script_fills_netrc_by_itself_and_keeps_the_key_out_of_the_shell(home: Path, shell: str) -> None:
    path = script(home, EXPORTS, 0o750)
    kept = creds_script.upgrade(str(path))
    assert kept == f"{path}.bak" and Path(kept).read_text() == EXPORTS
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(Path(kept).stat().st_mode) == 0o750
    again = path.read_text()
    assert creds_script.upgrade(str(path)) is None and path.read_text() == again
    sourced = f'. {path}; echo "left: ${{WANDB_API_KEY-nothing}}"'
    done = subprocess.run([shell, "-c", sourced], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("left: nothing\n", "")
    assert stored(home) == {OLD: KEY, NEW: KEY}
    (home / ".netrc").unlink()
    assert ensure(path) and stored(home) == {OLD: KEY, NEW: KEY}


def test_doctor_offers_the_upgrade_asks_first_and_does_it_once(
    client_home: Path, world: Path, project: MakeProject, ops: Ops, open_ops: OpenOps
) -> None:
    path = script(client_home, EXPORTS)
    project("here", storage={"wandb": {"mode": "online", "ensure_creds_script": str(path)}})
    assert ops("doctor", "--fix").returncode == 2, "without a terminal it needs --yes"
    terminal = open_ops("doctor", "--fix")
    terminal.wait_for(r"fill ~/.netrc, and keep the old one as .bak\? \[y/N\]")
    terminal.press("n\n")
    terminal.ended()
    assert path.read_text() == EXPORTS
    told = ops("doctor", "--fix", "--yes")
    assert f"{path} fills ~/.netrc now; the old one is {path}.bak" in told.stdout
    assert KEY not in told.stdout + told.stderr
    text = path.read_text()
    assert "only exports" not in ops("doctor", "--fix", "--yes").stdout and path.read_text() == text


@pytest.mark.parametrize(("mode", "run"), [("auto", True), ("online", True), ("offline", False), ("disabled", False)])
def test_the_script_is_run_only_for_runs_that_may_log_in(
    client_home: Path, project: MakeProject, ops: Ops, mode: str, run: bool
) -> None:
    path = script(client_home, EXPORTS)
    project("here", storage={"wandb": {"mode": mode, "ensure_creds_script": str(path)}})
    assert ops("run", "submit", "--preset", "hello", "--pod", "here", "--run-id", "r").returncode == 0
    assert (client_home / ".netrc").exists() == run
