"""What this machine has to log in with: the agent, identity files, and the host keys it trusts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import asyncssh

from podops.config.model import PodConfig
from podops.doctor.check import Check, Level
from podops.errors import RefusedError
from podops.transport.security_keys import in_hardware
from podops.transport.ssh import SshTransport
from podops.transport.ssh_config import ResolvedHost
from podops.transport.ssh_errors import is_encrypted, unknown_host_key

_AGENT_S = 3.0


async def ssh_checks(pods: Iterable[PodConfig], failed: Collection[str] = ()) -> list[Check]:
    """The agent once, each identity file once, and known_hosts for each pod that is reached by SSH.

    Why the pods that `failed` did so is told with each of them, also where its host key is what is missing.
    """
    hosts: dict[str, ResolvedHost] = {}
    checks: list[Check] = []
    for pod in pods:
        try:
            hosts[pod.name] = await SshTransport(pod).resolve()
        except RefusedError as error:
            checks.append(_check("fail", "ssh settings", error.message, error.hint))
    agents = {host.agent: await _agent_keys(host.agent) for host in hosts.values()}
    checks += [_agent(path, keys) for path, keys in agents.items()]
    most = max((keys or 0 for keys in agents.values()), default=0)
    files = dict.fromkeys(path for host in hosts.values() for path in host.identity_files)
    checks += [_identity(path, most) for path in files if path.exists() or not most]
    if hosts and not files and not most:
        checks.append(_check("fail", "identity", "no key: neither in an agent nor in ~/.ssh", "ssh-keygen -t ed25519"))
    known = {name: _known_host(name, host) for name, host in hosts.items()}
    return checks + [check for name, check in known.items() if check.level == "ok" or name not in failed]


def _check(level: Level, what: str, message: str, hint: str = "") -> Check:
    return Check(level, "this machine", what, message, hint)


async def _agent_keys(path: str) -> int | None:
    """How many keys the agent at `path` holds; `None` when it does not answer."""
    if not path:
        return None
    try:
        async with asyncio.timeout(_AGENT_S), asyncssh.connect_agent(path) as agent:
            return len(await agent.get_keys())
    except (OSError, TimeoutError, ValueError, asyncssh.Error):
        return None


def _agent(path: str, keys: int | None) -> Check:
    if not path:
        return _check("ok", "ssh agent", "none: identity files are used")
    if keys is None:
        return _check("warn", "ssh agent", f"{path} does not answer", "start one: eval $(ssh-agent); ssh-add")
    if keys == 0:
        return _check("warn", "ssh agent", "holds no key", "ssh-add")
    return _check("ok", "ssh agent", f"holds {keys} key{'s' if keys > 1 else ''}")


def _identity(path: Path, agent_keys: int) -> Check:
    """Whether OpenSSH and we can use a private key: there, readable, nobody else's, not locked."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return _check("fail", "identity", f"{path} does not exist", "correct the identity file, or ssh-keygen")
    if not os.access(path, os.R_OK):
        return _check("fail", "identity", f"{path} cannot be read", f"chmod 600 {path}, and let this user own it")
    if mode & 0o077:
        message = f"{path} has mode {mode & 0o777:o}: ssh refuses a key that others can read"
        return _check("fail", "identity", message, f"chmod 600 {path}")
    if is_encrypted(path) and not agent_keys:
        message = f"{path} has a passphrase and no agent holds it: it is asked for each time"
        return _check("warn", "identity", message, f"ssh-add {path}")
    if in_hardware(path) and not agent_keys:
        message = f"{path} lies in a security key and no agent holds it: commands can use it, the app cannot"
        return _check("warn", "identity", message, f"ssh-add {path}")
    return _check("ok", "identity", f"{path}")


def _known_host(pod: str, host: ResolvedHost) -> Check:
    host.host_keys(host.key_name, "", host.port)
    if host.host_keys.found:
        return _check("ok", "known_hosts", f"has pod {pod}")
    told = unknown_host_key(host)
    return _check("fail", "known_hosts", f"pod {pod}: {told.message}", told.hint)
