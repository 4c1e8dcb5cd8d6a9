"""A network namespace for a pod, with a cable of its own to this machine, that a test can do bad things to."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: From `sched.h`.
_CLONE_NEWNET = 0x40000000


def _address(number: int) -> str:
    """One of those kept for documentation: nothing on a real network has them."""
    return f"198.51.100.{number}"


def why_not() -> str:
    """Why this machine cannot have network namespaces; empty when it can."""
    if os.getuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "tc", "nft") if shutil.which(tool) is None]
    if missing:
        return f"network namespaces need {', '.join(missing)}"
    name = f"podops-probe-{uuid.uuid4().hex[:6]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return "" if made.returncode == 0 else f"network namespaces are not allowed here: {made.stderr.strip()}"


@contextmanager
def network_of_our_own() -> Iterator[None]:
    """This thread, and what it starts meanwhile, on a network that is not the machine's: whoever else tests here must
    not see cables and addresses come and go, as a fleet looks after its links then."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as machine:
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert libc.setns(machine.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


@dataclass
class Namespace:
    """The pod's end of a cable; `here` is our end."""

    name: str = field(default_factory=lambda: f"podops-{uuid.uuid4().hex[:6]}")
    address: str = _address(2)
    own_address: str = _address(1)

    @property
    def here(self) -> str:
        return self.name.replace("podops-", "po-")

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words before a command that shall run there."""
        return ("ip", "netns", "exec", self.name)

    def create(self) -> None:
        self._do("ip", "netns", "add", self.name)
        self._do("ip", "link", "add", self.here, "type", "veth", "peer", "name", "cable", "netns", self.name)
        self._do("ip", "addr", "add", f"{self.own_address}/29", "dev", self.here)
        self._do("ip", "link", "set", self.here, "up")
        self._there("ip", "addr", "add", f"{self.address}/29", "dev", "cable")
        for device in ("lo", "cable"):
            self._there("ip", "link", "set", device, "up")
        self._there("nft", "add table inet faults; add chain inet faults in { type filter hook input priority 0; }")

    def remove(self) -> None:
        subprocess.run(["ip", "link", "del", self.here], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def pull_cable(self) -> None:
        self._there("ip", "link", "set", "cable", "down")

    def plug_cable(self) -> None:
        self._there("ip", "link", "set", "cable", "up")

    def swallow_everything(self) -> None:
        """A black hole: what arrives is dropped without a word."""
        self._rule("drop")

    def lose(self, percent: int) -> None:
        self._rule(f"numgen random mod 100 < {percent} drop")

    def reset_connections(self) -> None:
        """Each packet that arrives is answered with a reset."""
        self._rule("meta l4proto tcp reject with tcp reset")

    def let_through(self) -> None:
        self._there("nft", "flush chain inet faults in")

    def limit(self, rate: str) -> None:
        """`100kbit`, each way."""
        shape = ("root", "tbf", "rate", rate, "burst", "3kb", "latency", "400ms")
        self._do("tc", "qdisc", "add", "dev", self.here, *shape)
        self._there("tc", "qdisc", "add", "dev", "cable", *shape)

    def unlimit(self) -> None:
        self._do("tc", "qdisc", "del", "dev", self.here, "root")
        self._there("tc", "qdisc", "del", "dev", "cable", "root")

    def change_our_address(self) -> None:
        """This machine moves to another network address, as a laptop does."""
        self._do("ip", "addr", "del", f"{self.own_address}/29", "dev", self.here)
        self.own_address = _address(3)
        self._do("ip", "addr", "add", f"{self.own_address}/29", "dev", self.here)

    def take_another_address(self) -> None:
        """One that no connection uses, as when a VPN or a container's network comes up."""
        self._do("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")

    def can_delay(self) -> bool:
        """Whether this kernel can delay packets (netem)."""
        added = subprocess.run(
            ["tc", "qdisc", "add", "dev", self.here, "root", "netem", "delay", "150ms", "loss", "5%"],
            capture_output=True,
        )
        return added.returncode == 0

    def delay_no_more(self) -> None:
        self._do("tc", "qdisc", "del", "dev", self.here, "root")

    def _rule(self, rule: str) -> None:
        self._there("nft", f"add rule inet faults in {rule}")

    def _there(self, *command: str) -> None:
        self._do(*self.prefix, *command)

    def _do(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
