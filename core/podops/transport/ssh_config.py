"""What the OpenSSH client configuration says about a destination, and which host keys it trusts."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncssh import SSHKey, read_public_key
from asyncssh.config import SSHClientConfig
from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_certificate_algs, get_public_key_algs

from podops.config.destination import Destination
from podops.transport.known_hosts import KnownHosts, read_known_hosts
from podops.transport.openssh_config import (
    Settings,
    config_flags,
    default_values,
    known_hosts_files,
    read_settings,
)
from podops.transport.pod_key import expand
from podops.transport.security_keys import in_hardware

#: Jump hosts may have jump hosts of their own; a chain longer than this is a loop.
MAX_JUMPS = 8

_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


@dataclass
class HostKeys:
    """Trusted host keys of one destination; remembers whether there were any, which tells a changed key."""

    files: tuple[Path, ...]
    store: KnownHosts
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
    host_keys: HostKeys
    identity_files: tuple[Path, ...]
    #: Of the identities, the ones with a private key; `None` when none is configured and the usual ones are tried.
    client_keys: tuple[str, ...] | None = None
    #: Of the identities, those whose private key lies in a security key.
    security_keys: tuple[Path, ...] = ()
    #: The public keys the agent may offer; `None` for all of them.
    agent_keys: tuple[SSHKey, ...] | None = None
    explicit_identity: str | None = None
    jumps: tuple[Destination, ...] = ()
    agent: str = ""
    #: Run by a shell, its standard input and output are the connection.
    proxy_command: str | None = None
    #: A host key that is not known is stored and trusted from then on, as the configuration says.
    accept_new: bool = False
    hash_known_hosts: bool = False
    #: What else asyncssh is told.
    options: Mapping[str, Any] = field(default_factory=dict)
    command_prefix: str = field(default="ssh")
    #: What known_hosts calls it: `HostKeyAlias`, else the host name.
    key_name: str = ""

    @property
    def login(self) -> str:
        return f"{self.user}@{self.hostname}" + (f":{self.port}" if self.port != 22 else "")

    @property
    def way(self) -> tuple[object, ...]:
        """What makes two connections go to the same account by the same way."""
        return self.hostname, self.user, self.port, self.jumps, self.proxy_command


def resolve(destination: Destination, ssh_config: str | None, identity_file: str | None = None) -> ResolvedHost:
    """Read the configuration for `destination`. Raises `ValueError` or `OSError` for a bad file."""
    settings = read_settings(destination.host, destination.user, destination.port, ssh_config)
    if settings is None:
        return _resolve_without_openssh(destination, ssh_config, identity_file)
    identities = (expand(identity_file),) if identity_file else settings.paths("identityfile")
    if not identity_file and settings.values.get("identityfile") == default_values().get("identityfile"):
        identities = tuple(path for path in identities if path.is_file())
    hostname = settings.one("hostname") or destination.host
    agent = settings.one("identityagent") or ""
    if not agent or agent == "SSH_AUTH_SOCK":
        agent = os.environ.get("SSH_AUTH_SOCK", "") if settings.values.get("identityagent") != ("none",) else ""
    command = settings.one("proxycommand")
    return ResolvedHost(
        host=destination.host,
        hostname=hostname,
        user=settings.one("user") or getpass.getuser(),
        port=int(settings.one("port") or 22),
        host_keys=_host_keys(known_hosts_files(settings)),
        identity_files=identities,
        client_keys=_usable_here(identities),
        security_keys=tuple(path for path in identities if in_hardware(path)),
        agent_keys=_public_keys(identities) if settings.flag("identitiesonly") else None,
        explicit_identity=identity_file,
        jumps=_jumps(settings.one("proxyjump")),
        agent=str(settings.path(agent)) if agent else "",
        proxy_command=settings.filled_in(command) if command else None,
        accept_new=settings.one("stricthostkeychecking") in ("accept-new", "no", "false", "off"),
        hash_known_hosts=settings.flag("hashknownhosts"),
        options=_options(settings),
        command_prefix=shlex.join(["ssh", *config_flags(ssh_config)]),
        key_name=settings.one("hostkeyalias") or hostname,
    )


def _options(settings: Settings) -> dict[str, Any]:
    """The settings that asyncssh knows under names of its own. Raises `ValueError` for a method it does not have."""
    options: dict[str, Any] = {"config": None, "client_certs": [str(path) for path in _certificates(settings)]}
    if alias := settings.one("hostkeyalias"):
        options["host_key_alias"] = alias
    if family := {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(settings.one("addressfamily") or ""):
        options["family"] = family
    if address := settings.one("bindaddress"):
        options["local_addr"] = (address, 0)
    if settings.flag("compression"):
        options["compression_algs"] = "zlib@openssh.com,zlib,none"
    keys = [*get_certificate_algs(), *get_public_key_algs()]
    known = {
        ("ciphers", "encryption_algs"): get_encryption_algs(),
        ("macs", "mac_algs"): get_mac_algs(),
        ("kexalgorithms", "kex_algs"): get_kex_algs(),
        ("hostkeyalgorithms", "server_host_key_algs"): keys,
        ("pubkeyacceptedalgorithms", "signature_algs"): keys,
    }
    for (key, option), available in known.items():
        if settings.values.get(key) != default_values().get(key):
            options[option] = _chosen(key, settings.one(key) or "", [name.decode() for name in available])
    return options


def _certificates(settings: Settings) -> tuple[Path, ...]:
    return tuple(path for path in settings.paths("certificatefile") if path.is_file())


def _chosen(key: str, wanted: str, available: Sequence[str]) -> list[str]:
    chosen = [name for name in wanted.split(",") if name in available]
    if not chosen:
        raise ValueError(f"none of {key} {wanted} is available here")
    return chosen


def _resolve_without_openssh(
    destination: Destination, ssh_config: str | None, identity_file: str | None
) -> ResolvedHost:
    """The same by asyncssh's own reading, which knows the usual settings."""
    files = config_files(ssh_config)
    user, port = destination.user or (), destination.port or ()
    local_user = getpass.getuser()
    config: Any = SSHClientConfig.load(None, list(files), False, False, False, local_user, user, destination.host, port)
    configured = [identity_file] if identity_file else config.get("IdentityFile", None)
    identities = _identities(configured)
    user_files = config.get("UserKnownHostsFile", ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"))
    system_files = config.get("GlobalKnownHostsFile", ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"))
    return ResolvedHost(
        host=destination.host,
        hostname=str(config.get("Hostname", destination.host)),
        user=str(config.get("User", None) or local_user),
        port=int(config.get("Port", 22)),
        host_keys=_host_keys(tuple(expand(name) for name in (*user_files, *system_files))),
        identity_files=identities,
        client_keys=None if configured is None else _usable_here(identities),
        security_keys=tuple(path for path in identities if in_hardware(path)),
        agent_keys=_public_keys(identities) if config.get("IdentitiesOnly", False) else None,
        explicit_identity=identity_file,
        jumps=_jumps(config.get("ProxyJump", None)),
        agent=str(config.get("IdentityAgent", None) or os.environ.get("SSH_AUTH_SOCK", "")),
        proxy_command=config.get("ProxyCommand", None),
        options={"config": list(files)} | ({} if config.get("Ciphers", None) is None else {"encryption_algs": ()}),
        command_prefix=f"ssh -F {ssh_config}" if ssh_config else "ssh",
        key_name=str(config.get("HostKeyAlias", None) or config.get("Hostname", destination.host)),
    )


def config_files(ssh_config: str | None) -> tuple[str, ...]:
    """The files OpenSSH would read: the given one alone, or the user's and then the system's."""
    if ssh_config:
        return (str(Path(ssh_config).expanduser()),)
    usual = (Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config"))
    return tuple(str(path) for path in usual if os.access(path, os.R_OK))


def _host_keys(files: tuple[Path, ...]) -> HostKeys:
    """Unlike asyncssh, `UserKnownHostsFile none` trusts nothing instead of everything."""
    return HostKeys(files, read_known_hosts(files))


def _identities(names: Sequence[str] | None) -> tuple[Path, ...]:
    if names is None:
        return tuple(path for name in _DEFAULT_KEYS if (path := Path("~/.ssh", name).expanduser()).is_file())
    return tuple(expand(name) for name in names)


def _usable_here(identities: Sequence[Path]) -> tuple[str, ...]:
    """The files with a private key in them; with one in hardware only `ssh` and an agent can sign."""
    return tuple(str(path) for path in identities if _is_private(path) and not in_hardware(path))


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
