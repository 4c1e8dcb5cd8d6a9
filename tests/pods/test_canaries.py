"""No secret is ever found where it has no business: planted everywhere, looked for everywhere after a whole life."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, OpenOps, Ops, OpsResult, StartOps
from tests.pods.loopback import SshPod, agent_socket, command_line, make_key, processes_with_env
from tests.pods.ssh_agent import agent_with
from tests.pods.test_services import SERVER, Service

#: What every planted secret begins with; 40 characters in all, as long as a W&B key.
CANARY = "canary5ec2e7"


def canary(name: str) -> str:
    return f"{CANARY}{name:x<28.28}"


#: Secrets of a shell: where `ops` is started, and of every login on the pod.
SHELL = {
    name: canary(name.replace("_", "")) for name in ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "LC_SECRET")
}


@dataclass(frozen=True)
class World:
    """One pod with secrets in every corner, and what `ops` has printed so far. `env` is that of the client's shell."""

    env: dict[str, str]
    home: Path
    client_home: Path
    root: Path
    socket: str
    printed: list[str]
    ops: Ops

    def run(self, *words: str) -> OpsResult:
        done = self.ops(*words, env=self.env)
        self.printed.append(f"$ ops {' '.join(words[:2])}\n{done.stdout}{done.stderr}")
        return done


@pytest.fixture
def agent_folder() -> Iterator[Path]:
    """Where an agent's socket lies, as short as the name of a socket must be."""
    with tempfile.TemporaryDirectory(prefix=CANARY) as folder:
        yield Path(folder)


@pytest.fixture
def shell(client_home: Path, agent_folder: Path) -> Iterator[dict[str, str]]:
    """The client's shell: secrets, and an SSH agent that holds a key, its socket's name a canary, too."""
    with agent_with(agent_folder, make_key(client_home / "agent_key")) as socket:
        yield {**SHELL, "SSH_AUTH_SOCK": str(socket)}


@pytest.fixture(params=["ssh", "local"])
def world_of_secrets(
    request: pytest.FixtureRequest,
    shell: dict[str, str],
    ssh_pod: MakeSshPod,
    project: MakeProject,
    ops: Ops,
    client_home: Path,
    world: Path,
) -> World:
    pod: SshPod | None = ssh_pod("here", env=SHELL) if request.param == "ssh" else None
    if pod:
        only_the_agent_opens(pod, shell)
    home = pod.home if pod else client_home
    (home / "secret.env").write_text(f"FILE_TOKEN={canary('envfile')}\n")
    (home / ".netrc").write_text(f"# mine\nmachine github.com login me password {canary('netrc')}\n")
    (home / ".netrc").chmod(0o600)
    script = home / "set-key.sh"
    script.write_text(f"export WANDB_API_KEY={canary('script')}\n")
    repo = home / "repo"
    subprocess.run(["git", "init", "-q", repo], check=True)
    remote = f"https://me:{canary('remote')}@example.org/me/repo.git"
    subprocess.run(["git", "-C", repo, "remote", "add", "origin", remote], check=True)
    for one in {home, client_home}:
        plant_ssh(one / ".ssh")
    retries = {"max": 2, "on": ["nonzero_exit"], "exit_codes": [75], "backoff": "100ms"}
    made = project(
        pod or "here",
        project={"name": "demo", "remote_outputs_dir": "~/runs", "remote_repo_dir": str(repo)},
        storage={"env_files": ["~/secret.env"], "wandb": {"mode": "auto", "ensure_creds_script": str(script)}},
        presets={
            "api": {
                "kind": "command",
                "command": f"[ $OPS_ATTEMPT = 1 ] && exit 75; exec {SERVER}",
                "service": {"port": "auto", "health": "/health"},
                "retries": retries,
                "grace": "1s",
            }
        },
    )
    return World(shell, home, client_home, world, made.tmux_socket, [], ops)


def only_the_agent_opens(pod: SshPod, shell: dict[str, str]) -> None:
    """Its key lies in the agent alone, and the client's configuration would forward that to the pod."""
    subprocess.run(["ssh-add", "-q", pod.user_key], check=True, env={**os.environ, **shell})
    pod.user_key.unlink()
    pod.ssh_config.write_text(pod.ssh_config.read_text() + "  ForwardAgent yes\n")


def plant_ssh(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    make_key(directory / "id_ed25519")
    (directory / "config").write_text(f"# {canary('sshconfig')}\n")


def state_of(directory: Path) -> dict[str, object]:
    """Everything about a directory and its files that could be changed."""
    found: dict[str, object] = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (info.st_ino, info.st_mode, info.st_mtime_ns, info.st_uid, content)
    return found


def our_processes(root: Path) -> Iterator[tuple[int, str]]:
    """Pid and command line of each process of this test; those with the user's own environment are left out: `ops`
    itself, the `ssh` it starts, the agent of the test, and sshd."""
    for pid in processes_with_env(str(root)):
        line = command_line(pid)
        if "podops.cli.main" not in line and not line.startswith(("ssh ", "ssh-agent ", "sshd")):
            yield pid, line


def assert_processes_hold_no_secret(root: Path) -> list[str]:
    lines = []
    for pid, line in our_processes(root):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue  # it has just ended
        assert CANARY not in line, line
        if b"\0OPS_RUN_DIR=" not in b"\0" + environment:  # the run's own processes have what was declared for them
            assert CANARY.encode() not in environment, (line, environment)
        assert b"SSH_AUTH_SOCK" not in environment and b"SSH_AGENT_PID" not in environment, line
        lines.append(line)
    return lines


def leaks(root: Path, but_in: set[Path], key: Path) -> list[str]:
    """Files below `root` that hold a canary or the private `key`, and are not where one was planted."""
    secrets = (CANARY.encode(), key.read_bytes().splitlines()[2])
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and any(secret in path.read_bytes() for secret in secrets):
            found.append(path)
    return [str(path) for path in found if path not in but_in and not any(one in path.parents for one in but_in)]


def tmux_says(*sockets: str) -> str:
    """What the servers of the runs and of the agents tell whoever asks."""
    told = ""
    for socket in sockets:
        for command in ("show-environment -g", "list-panes -a -F #{pane_start_command}"):
            told += subprocess.run(["tmux", "-L", socket, *command.split()], capture_output=True, text=True).stdout
    return told


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_whole_life_of_runs_leaks_no_secret_and_leaves_ssh_alone(
    world_of_secrets: World, start_ops: StartOps, open_ops: OpenOps
) -> None:
    one = world_of_secrets
    ssh_before = {home: state_of(home / ".ssh") for home in {one.home, one.client_home}}
    refused = one.run("run", "submit", "--preset", "api", "--pod", "here", f"token=hf_{canary('override')}")
    assert refused.returncode == 2 and "seems to hold" in refused.stderr
    assert one.run("run", "submit", "--preset", "api", "--pod", "here", "--run-id", "api").returncode == 0
    service = Service(one.home / "runs/api")
    service.wait_for_phase("ready")
    assert "retrying" in service.events()
    forwarding = start_ops("pod", "forward", "api", env=one.env)
    one.printed.append(forwarding.read_line().decode())
    commands = assert_processes_hold_no_secret(one.root)
    for part in (" link", " supervise ", " agent"):
        assert any(part in line for line in commands), f"no process of ours with {part!r} was looked at: {commands}"
    for words in (
        ("status",),
        ("pod", "list"),
        ("pod", "status", "here"),
        ("run", "list", "--json"),
        ("run", "status", "api", "--json"),
        ("run", "tail", "api"),
        ("queue", "list"),
        ("doctor",),
        ("doctor", "--fix", "--yes"),
        ("run", "submit", "--preset", "api", "--pod", "here", "--dry-run", "--json"),
    ):
        one.run(*words)
    app = open_ops("tui", env=one.env)
    app.wait_for("api")
    app.press("\r")
    app.wait_for("endpoint")
    app.press("\x1bq")
    app.press("q")
    app.ended()
    tmux = tmux_says(one.socket, *map(agent_socket, (one.root / "pod-here/state", one.root / "client-state")))
    assert "SSH_A" not in tmux and "/ssh-" not in tmux, tmux
    servers = [line for line in tmux.splitlines() if line.startswith("PODOPS_STATE_DIR=")]
    assert len(servers) == 2, "one for the runs, one for the agent"
    assert one.run("run", "kill", "api", "--yes").returncode == 0
    one.printed.extend([app.output.decode(errors="replace"), forwarding.rest().decode(), forwarding.stderr, tmux])
    assert_processes_hold_no_secret(one.root)

    assert canary("script") in (one.home / ".netrc").read_text(), "the key has come to where it should be"
    told = "\n".join(one.printed)
    assert CANARY not in told, [line for line in told.splitlines() if CANARY in line]
    planted = {one.home / name for name in ("secret.env", ".netrc", "set-key.sh", "set-key.sh.bak", "repo", ".ssh")}
    planted |= {one.client_home / ".ssh", one.root / "pod-here/sshd_config"}
    key = one.client_home / "agent_key"
    assert leaks(one.root, {*planted, key}, key) == []
    assert {home: state_of(home / ".ssh") for home in ssh_before} == ssh_before


@pytest.mark.parametrize("text", ["https://{}@example.org/me/repo.git", "https://me:{}@example.org/me/repo.git"])
def test_a_repository_address_with_a_token_is_refused(ops: Ops, project: MakeProject, text: str) -> None:
    keys = {"name": "demo", "remote_repo_url": text.format(canary("url"))}
    project("here", project=keys)
    told = ops("status")
    assert told.returncode == 2 and "remote_repo_url" in told.stderr and CANARY not in told.stderr
