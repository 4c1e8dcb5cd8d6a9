"""What the OpenSSH client configuration says about a destination, and which host keys it trusts."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncssh import SSHKey, read_public_key
from asyncssh.config import SSHClientConfig
from asyncssh.known_hosts import SSHKnownHosts

#: Jump hosts may have jump hosts of their own; a chain longer than this is a loop.
MAX_JUMPS = 8

_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


@dataclass(frozen=True, slots=True)
class Destination:
    """A place as a person names it, before any configuration file is read."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read `alias`, `user@host`, `user@host:port` or `ssh://user@host:port`. Raises `ValueError`."""
        rest = text.strip().removeprefix("ssh://")
        user, _, place = rest.rpartition("@")
        host, port = place, ""
        if place.startswith("["):
            host, _, port = place[1:].partition("]")
            port = port.removeprefix(":")
        elif place.count(":") == 1:
            host, _, port = place.partition(":")
        if not host or host.startswith("-") or user.startswith("-"):
            raise ValueError(f"{text!r} is not an SSH destination")
        return cls(host, user or None, int(port) if port else None)


@dataclass
class HostKeys:
    """Trusted host keys of one destination; remembers whether there were any, which tells a changed key."""

    files: tuple[Path, ...]
    store: SSHKnownHosts
    found: bool = False

    def __call__(self, host: str, address: str, port: int | None) -> Any:
        """The keys asyncssh asks for: `(trusted, certificate authorities, revoked)`."""
        trusted, authorities, revoked = self.store.match(host, address, port)[:3]
        self.found = bool(trusted or authorities)
        return trusted, authorities, revoked


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """A destination with its configuration applied. `host` is the name the configuration was looked up by."""

    host: str
    hostname: str
    user: str
    port: int
    files: tuple[str, ...]
    host_keys: HostKeys
    identity_files: tuple[Path, ...]
    #: Of those, the ones with a private key; `None` when none is configured and the usual ones are tried.
    client_keys: tuple[str, ...] | None = None
    #: The public keys the agent may offer; `None` for all of them.
    agent_keys: tuple[SSHKey, ...] | None = None
    explicit_identity: str | None = None
    jumps: tuple[Destination, ...] = ()
    has_ciphers: bool = False
    agent: str = ""
    command_prefix: str = field(default="ssh")
    #: What known_hosts calls it: `HostKeyAlias`, else the host name.
    key_name: str = ""

    @property
    def login(self) -> str:
        return f"{self.user}@{self.hostname}" + (f":{self.port}" if self.port != 22 else "")


def resolve(destination: Destination, ssh_config: str | None, identity_file: str | None = None) -> ResolvedHost:
    """Read the configuration for `destination`. Raises `ValueError` or `OSError` for a bad file."""
    files = config_files(ssh_config)
    user, port = destination.user or (), destination.port or ()
    local_user = getpass.getuser()
    config: Any = SSHClientConfig.load(None, list(files), False, False, False, local_user, user, destination.host, port)
    configured = [identity_file] if identity_file else config.get("IdentityFile", None)
    identities = _identities(configured)
    return ResolvedHost(
        host=destination.host,
        hostname=str(config.get("Hostname", destination.host)),
        user=str(config.get("User", None) or local_user),
        port=int(config.get("Port", 22)),
        files=files,
        host_keys=_host_keys(config),
        identity_files=identities,
        client_keys=None if configured is None else tuple(str(path) for path in identities if _is_private(path)),
        agent_keys=_public_keys(identities) if config.get("IdentitiesOnly", False) else None,
        explicit_identity=identity_file,
        jumps=_jumps(config.get("ProxyJump", None)),
        has_ciphers=config.get("Ciphers", None) is not None,
        agent=str(config.get("IdentityAgent", None) or os.environ.get("SSH_AUTH_SOCK", "")),
        command_prefix=f"ssh -F {ssh_config}" if ssh_config else "ssh",
        key_name=str(config.get("HostKeyAlias", None) or config.get("Hostname", destination.host)),
    )


def config_files(ssh_config: str | None) -> tuple[str, ...]:
    """The files OpenSSH would read: the given one alone, or the user's and then the system's."""
    if ssh_config:
        return (str(Path(ssh_config).expanduser()),)
    usual = (Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config"))
    return tuple(str(path) for path in usual if os.access(path, os.R_OK))


def _host_keys(config: Any) -> HostKeys:
    """Unlike asyncssh, `UserKnownHostsFile none` trusts nothing instead of everything."""
    user_files = config.get("UserKnownHostsFile", ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"))
    system_files = config.get("GlobalKnownHostsFile", ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"))
    store = SSHKnownHosts()
    files = tuple(_expand(name) for name in (*user_files, *system_files))
    for file in files:
        _load_known_hosts(store, file)
    return HostKeys(files, store)


def _load_known_hosts(store: SSHKnownHosts, file: Path) -> None:
    """Read one file; like OpenSSH, pass over a file that is not there and over lines that make no sense."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            store.load(line)
        except ValueError:
            continue


def _identities(names: Sequence[str] | None) -> tuple[Path, ...]:
    if names is None:
        return tuple(path for name in _DEFAULT_KEYS if (path := Path("~/.ssh", name).expanduser()).is_file())
    return tuple(_expand(name) for name in names)


def _is_private(path: Path) -> bool:
    try:
        return b"PRIVATE KEY" in path.read_bytes()[:200]
    except OSError:
        return False


def _public_keys(identities: Sequence[Path]) -> tuple[SSHKey, ...]:
    """The public halves of the identities, as far as they can be read without a passphrase."""
    found = []
    for path in identities:
        for candidate in (path.with_name(path.name + ".pub"), path):
            try:
                found.append(read_public_key(candidate))
            except (OSError, ValueError):
                continue
            break
    return tuple(found)


def _jumps(text: str | None) -> tuple[Destination, ...]:
    if not text or text.lower() == "none":
        return ()
    return tuple(Destination.parse(part) for part in text.split(","))


def _expand(name: str) -> Path:
    return Path(name.replace("%d", str(Path.home())).replace("%%", "%")).expanduser()
