"""A real sshd on loopback that stands for a pod: own keys, port and HOME, and a client configuration."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from podops_runners import process

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or "/usr/sbin/sshd"

#: What a pod has on its PATH unless a test says else.
POD_PATH = "/usr/local/bin:/usr/bin:/bin"
POD_PYTHON = shutil.which("python3", path=POD_PATH) or "/usr/bin/python3"


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
    """Return as soon as `condition()` is true; fail the test, naming `what`, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.02)


#: Ports that neither the kernel gives to anybody who asks for any, nor podops to a service; shared out among the
#: processes that run tests at once.
_FREE_PORTS = range(10_000, 20_000)
_PORTS_EACH = 250


def free_port() -> int:
    """A port of loopback that is nobody's, and that nobody else is given before it is used."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = _FREE_PORTS[worker * _PORTS_EACH :][:_PORTS_EACH]
    return next(port for port in (mine[next(_turns) % len(mine)] for _ in mine) if _is_free(port))


_turns = itertools.count(os.getpid())


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As a server does: what a former one has left of its connections is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            probe.listen()
            return True
    return False


def make_key(path: Path) -> Path:
    """A fresh ed25519 key pair at `path` and `path.pub`."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
    return path


@dataclass
class SshPod:
    """One loopback pod. `alias` and `ssh_config` are what a project file needs to reach it."""

    name: str
    root: Path
    port: int
    path: str = POD_PATH
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    #: Where it listens, and the words before its command (`ip netns exec …`).
    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def alias(self) -> str:
        return f"{self.name}-alias"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def ssh_config(self) -> Path:
        return self.root / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def user_key(self) -> Path:
        return self.root / "user_key"

    @property
    def host_key(self) -> Path:
        return self.root / "host_key"

    @property
    def outputs_dir(self) -> Path:
        """Where `remote_outputs_dir: ~/runs` lies on this pod."""
        return self.home / "runs"

    def create(self) -> None:
        """Write keys and configuration files."""
        self.home.mkdir(parents=True)
        make_key(self.host_key)
        make_key(self.user_key)
        (self.root / "authorized_keys").write_text(self.user_key.with_suffix(".pub").read_text())
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {self.host_key.with_suffix('.pub').read_text()}")
        self.ssh_config.write_text(
            f"Host {self.alias}\n  HostName {self.address}\n  Port {self.port}\n  IdentityFile {self.user_key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n"
        )

    def _server_config(self) -> str:
        env = {"HOME": str(self.home), "PATH": self.path, "PODOPS_STATE_DIR": str(self.root / "state"), **self.env}
        # What a test wants comes first: of two values sshd takes the first.
        lines = [
            *self.options,
            f"Port {self.port}",
            f"ListenAddress {self.address}",
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.root / 'authorized_keys'}",
            f"PidFile {self.root / 'sshd.pid'}",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin yes",
            "MaxStartups 300:30:400",
            "SetEnv " + " ".join(f"{name}={value}" for name, value in env.items()),
        ]
        return "\n".join(lines) + "\n"

    def start(self) -> None:
        """Start the server and return once it accepts connections."""
        config = self.root / "sshd_config"
        config.write_text(self._server_config())
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = self.root / "sshd.log"
        self.process = subprocess.Popen([*self.prefix, SSHD, "-D", "-f", config, "-E", log], stdin=subprocess.DEVNULL)
        server = self.process
        wait_for(lambda: self._accepts() or server.poll() is not None, "sshd to listen")
        assert server.poll() is None, f"sshd did not start: {log.read_text()}"

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((self.address, self.port)) == 0

    def logins(self) -> int:
        """How often somebody has logged in."""
        return (self.root / "sshd.log").read_text().count("Accepted publickey")

    def kill_sessions(self) -> int:
        """Cut every open connection (the server goes on); returns how many server processes were killed."""
        assert self.process is not None
        victims = [pid for pid in descendants(self.process.pid) if _command_name(pid).startswith("sshd")]
        for pid in victims:
            _kill(pid, signal.SIGKILL)
        return len(victims)

    def stop(self) -> None:
        """End the server and all its sessions."""
        if self.process is None:
            return
        self.kill_sessions()
        self.process.terminate()
        self.process.wait(60)
        self.process = None


def descendants(root: int) -> list[int]:
    """Process ids below `root`, found in /proc."""
    parents = {pid: _parent(pid) for pid in _pids()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def processes_with_env(text: str) -> list[int]:
    """Processes started with `text` somewhere in their environment, ourselves left out."""
    return [pid for pid in _pids() if pid != os.getpid() and text.encode() in _proc_file(pid, "environ")]


def command_line(pid: int) -> str:
    return _proc_file(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def link_processes(home: Path) -> list[int]:
    """Pod-side link processes whose HOME is `home`."""
    found = {pid: command for pid in processes_with_env(f"HOME={home}") if is_link(command := command_line(pid))}
    # A child that has not become its program yet, as of a link that starts an agent, still looks like its parent.
    return [pid for pid, command in found.items() if found.get(process.parent(pid) or 0) != command]


def is_link(command: str) -> bool:
    """Whether a command line is a pod-side link, already running or still in its bootstrap."""
    return re.search(r"podops\S*(\.pyz)? link$", command) is not None or "a2b_base64" in command


@contextmanager
def held(*pids: int) -> Iterator[None]:
    """Processes of tmux sessions that stand still. Their servers do too: tmux lets a stopped one go on at once."""
    servers = [parent for pid in pids if (parent := process.parent(pid)) is not None]
    for pid in (*servers, *pids):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in (*pids, *servers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def end_leftovers(root: Path) -> None:
    """Kill what still runs with an environment that names `root`; links among it fail the test."""
    wait = 20.0

    def links() -> list[int]:
        return [pid for pid in processes_with_env(str(root)) if is_link(command_line(pid))]

    deadline = time.monotonic() + wait
    while links() and time.monotonic() < deadline:
        time.sleep(0.05)
    orphans = [f"{pid} {command_line(pid)[:200]}" for pid in links()]
    end_processes(root)
    assert not orphans, f"link processes outlived their connection by {wait:g} s: {orphans}"


def end_processes(root: Path) -> None:
    """Kill what runs with an environment that names `root`, and remove the sockets of the tmux servers among it."""
    sockets: set[str] = set()
    wait_for(lambda: not _killed_now(root, sockets), f"every process of {root} to be gone")
    # A server that ended by itself has left its socket, too, and nobody knows its name any more but by this rule.
    sockets.update(agent_socket(Path(directory)) for directory, _, _ in os.walk(root))
    for name in sockets:
        _remove_tmux_socket(name)


def _killed_now(root: Path, sockets: set[str]) -> list[int]:
    """Kill what there is: again and again, because supervisors and agents start each other anew.

    The names of tmux servers among it are added to `sockets`.
    """
    found = processes_with_env(str(root))
    for pid in found:
        words = command_line(pid).split()
        if _command_name(pid) == "tmux: server" and "-L" in words:
            sockets.add(words[words.index("-L") + 1])
        _kill(pid, signal.SIGKILL)
    return found


def agent_socket(state: Path) -> str:
    """The name of the tmux socket of the agent whose state directory this is."""
    return f"podops-agent-{zlib.crc32(str(state).encode()):08x}"


def kill_tmux_server(name: str) -> None:
    """End the tmux server of one socket name and remove its socket."""
    subprocess.run(["tmux", "-L", name, "kill-server"], capture_output=True)
    _remove_tmux_socket(name)


def _remove_tmux_socket(name: str) -> None:
    """Which tmux leaves behind, and its lock where whoever started the server was killed meanwhile."""
    for file in (name, f"{name}.lock"):
        Path(os.environ.get("TMUX_TMPDIR", "/tmp"), f"tmux-{os.getuid()}", file).unlink(missing_ok=True)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _proc_file(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _command_name(pid: int) -> str:
    return _proc_file(pid, "comm").decode(errors="replace").strip()


def _parent(pid: int) -> int:
    fields = _proc_file(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
