"""Pods with machines of their own, as far as one machine can show them.

They are far: bytes reach them through a proxy that delays them. And what a pod does to start its side of the link does
not burden this machine: a stand-in answers for it, from recorded traffic.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.pods.loopback import POD_PATH, SshPod, end_leftovers, free_port

from benchmarks import recorded_traffic
from podops.config.model import PodConfig
from podops_runners.frames import encode_frame

#: How long bytes take to a far pod, and as long back, milliseconds.
DELAY_MS = 40.0

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Machines:
    """`ports` lead to as many pods; `key` and `known_hosts` are good for each of them."""

    key: Path
    known_hosts: Path
    ports: tuple[int, ...]
    pods: tuple[PodConfig, ...]


def near(pod: SshPod, count: int) -> Machines:
    """So many pods that are one sshd on this machine."""
    return _machines(pod, [pod.port] * count)


@contextmanager
def far(pod: SshPod, count: int, delay_ms: float = DELAY_MS) -> Iterator[Machines]:
    """The same sshd, seen as so many machines that are far."""
    program = _built("delay_proxy", pod.root)
    words: list[str | Path] = [program, str(pod.port), str(delay_ms), str(count)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as proxy:
        assert proxy.stdin is not None and proxy.stdout is not None
        try:
            yield _machines(pod, [int(proxy.stdout.readline()) for _ in range(count)])
        finally:
            proxy.stdin.close()


@contextmanager
def stand_in_pod(root: Path) -> Iterator[SshPod]:
    """An sshd whose `python3` only says what a pod side was recorded to say."""
    pod = SshPod("stand-in", root / "stand-in", free_port(), path=f"{root / 'stand-in/bin'}:{POD_PATH}")
    pod.create()
    directory = pod.root / "bin"
    directory.mkdir()
    shutil.copy(_built("stand_in_pod", pod.root), directory / "python3")
    hello = encode_frame({"ok": True, **recorded_traffic.hello()})[1:]
    pushes = recorded_traffic.RunTraffic().full("stand-in") + recorded_traffic.samples()[0]
    (directory / "recorded").write_bytes(recorded_traffic.REPORT.lstrip() + hello + pushes)
    try:
        pod.start()
        yield pod
    finally:
        pod.stop()
        end_leftovers(pod.root)


def can_build() -> bool:
    return shutil.which("cc") is not None


def _built(name: str, root: Path) -> Path:
    program = root / name
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", program, _HERE / f"{name}.c"], check=True)
    return program


def _machines(pod: SshPod, ports: list[int]) -> Machines:
    """With a line in `ssh_config` and known_hosts for each, as a fleet has them."""
    directory = pod.root / f"machines-{os.getpid()}-{ports[0]}-{len(ports)}"
    directory.mkdir(exist_ok=True)
    known, config = directory / "known_hosts", directory / "ssh_config"
    host_key = pod.host_key.with_suffix(".pub").read_text()
    known.write_text("".join(f"[127.0.0.1]:{port} {host_key}" for port in dict.fromkeys(ports)))
    names = [f"pod-{number:03}" for number in range(len(ports))]
    common = f"  IdentityFile {pod.user_key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n"
    hosts = (f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n" for name, port in zip(names, ports, strict=True))
    config.write_text("".join(hosts) + f"Host *\n{common}")
    pods = tuple(PodConfig(name, ssh=name, ssh_config=str(config), outputs_dir="~/runs") for name in names)
    return Machines(pod.user_key, known, tuple(ports), pods)
