"""A stand-in for a FIDO security key: a provider library of OpenSSH's, made from fake_security_key.c."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pods.loopback import SshPod

SOURCE = Path(__file__).with_name("fake_security_key.c")


class SecurityKey:
    """Somebody's finger is on it all the time, until the test says else. `make` skips the test where it cannot be."""

    def __init__(self, folder: Path) -> None:
        self.library = folder / "security-key.so"
        self._log = folder / "touches"
        if shutil.which("gcc") is None:
            pytest.skip("no gcc to make the stand-in for a security key with")
        options = ["-shared", "-fPIC", f'-DTOUCHES="{self._log}"']
        subprocess.run(["gcc", *options, "-o", str(self.library), str(SOURCE)], check=True)

    def make(self, kind: str, path: Path) -> Path:
        """A key pair whose private key is in here; `path` holds the handle of it."""
        words = ["ssh-keygen", "-q", "-t", kind, "-w", str(self.library), "-N", "", "-f", str(path)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this OpenSSH takes no stand-in for a security key: {done.stderr.strip()}")
        return path

    def opens(self, *pods: SshPod, kind: str = "ed25519-sk") -> Path:
        """Make it the only key of `pods`; the file that each user names as identity."""
        handle = self.make(kind, self.library.with_name("id_sk"))
        for pod in pods:
            (pod.root / "authorized_keys").write_text(handle.with_suffix(".pub").read_text())
            config = pod.ssh_config.read_text().replace(str(pod.user_key), str(handle))
            pod.ssh_config.write_text(f"{config}  SecurityKeyProvider {self.library}\n")
        return handle

    def add_to(self, agent: Path, handle: Path) -> None:
        env = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
        subprocess.run(["ssh-add", "-q", "-S", self.library, handle], check=True, env=env)

    @property
    def touches(self) -> int:
        """How often somebody had to touch it."""
        return len(self._log.read_text().splitlines()) if self._log.exists() else 0

    def leave(self) -> None:
        """Nobody touches it from now on."""
        self._fault("away").touch()

    def touch(self) -> None:
        self._fault("away").unlink()

    def tire(self) -> None:
        """It gives up at once."""
        self._fault("tired").touch()

    def unplug(self) -> None:
        self._fault("unplugged").touch()

    def _fault(self, name: str) -> Path:
        return self._log.with_name(f"touches.{name}")
