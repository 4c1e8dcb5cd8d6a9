"""From what asyncssh and the network say to what a person can act on."""

from __future__ import annotations

import errno
import socket

import asyncssh

from podops.errors import RefusedError, UnreachableError
from podops.transport.ssh_config import ResolvedHost

_NETWORK = {
    errno.ECONNREFUSED: ("refused the connection", "is sshd running there, and is the port right?"),
    errno.ENETUNREACH: ("cannot be reached: no network", "check this machine's network"),
    errno.EHOSTUNREACH: ("cannot be reached: no route to it", "is the pod up, and is a VPN needed?"),
    errno.ETIMEDOUT: ("did not answer in time", "is the pod up, and is its address still right?"),
    errno.ECONNRESET: ("closed the connection", "is it an SSH server, and is it still starting?"),
}

#: What is told of a ProxyCommand that has not said why it failed.
SAID_NOTHING = "it ended, or the server hung up"


def explain(error: BaseException, host: ResolvedHost) -> UnreachableError:
    """The error a person sees for `error`, raised while connecting to `host`."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return changed_host_key(host) if host.host_keys.found else unknown_host_key(host)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return _key_exchange(error, host)
    if is_refused_login(error):
        return refused_login(host)
    if isinstance(error, asyncssh.KeyImportError):
        return RefusedError(f"cannot read the key {host.explicit_identity}: {error}", "check `identity_file`")
    if isinstance(error, asyncssh.ChannelOpenError):
        return UnreachableError(
            f"{host.login} cannot be reached through its jump host: {error.reason}", "is the pod up?"
        )
    if isinstance(error, (asyncssh.Error, OSError, TimeoutError)):
        return _network(error, host)
    return RefusedError(f"the SSH settings for {host.host} cannot be used: {error}", "check your ssh config file")


def _known_hosts_file(host: ResolvedHost) -> str:
    return str(host.host_keys.files[0]) if host.host_keys.files else "~/.ssh/known_hosts"


def changed_host_key(host: ResolvedHost) -> RefusedError:
    """The error for a host whose key is another than the one accepted on this machine."""
    place = host.hostname if host.port == 22 else f"[{host.hostname}]:{host.port}"
    return RefusedError(
        f"the host key of {place} has changed: it is not the one in known_hosts",
        f"if the pod was recreated: ssh-keygen -R '{place}' -f {_known_hosts_file(host)}, "
        f"then run `{host.command_prefix} {_ssh_arguments(host)}` once; if not, somebody may be listening in",
        code="host_key_changed",
    )


def unknown_host_key(host: ResolvedHost) -> RefusedError:
    """The error for a host whose key was never accepted on this machine."""
    place = host.hostname if host.port == 22 else f"[{host.hostname}]:{host.port}"
    file = _known_hosts_file(host)
    scan = f"ssh-keyscan -p {host.port} {host.hostname} >> {file}"
    return RefusedError(
        f"the host key of {place} is not in known_hosts",
        f"run `{host.command_prefix} {_ssh_arguments(host)}` once to accept it, or: {scan}",
        code="host_key_unknown",
    )


def _ssh_arguments(host: ResolvedHost) -> str:
    if host.host != host.hostname:
        return host.host
    port = f"-p {host.port} " if host.port != 22 else ""
    return f"{port}{host.user}@{host.host}"


def _key_exchange(error: asyncssh.KeyExchangeFailed, host: ResolvedHost) -> UnreachableError:
    if "host key" in str(error) and host.host_keys.found:
        return changed_host_key(host)
    return no_common_method(host, error.reason)


def no_common_method(host: ResolvedHost, why: str) -> RefusedError:
    """The error where both ends cannot agree on a cipher, a MAC, a key exchange or a kind of host key."""
    return RefusedError(f"{host.login} and this client share no method: {why}", "update sshd on the pod")


def refused_login(host: ResolvedHost) -> RefusedError:
    """The error for a login that was refused; it names what was tried."""
    tried = [str(path) for path in host.identity_files if path.is_file()]
    tried += ["the SSH agent's keys"] if host.agent else []
    missing = [str(path) for path in host.identity_files if not path.is_file()]
    encrypted = [str(path) for path in host.identity_files if is_encrypted(path)]
    message = f"{host.hostname} refused the login of {host.user}; tried " + (", ".join(tried) or "no key: none found")
    if encrypted:
        hint = f"the key {encrypted[0]} is encrypted: load it into an agent with ssh-add {encrypted[0]}"
    elif missing and not tried:
        hint = f"there is no key at {missing[0]}: correct identity_file, or make it with ssh-keygen"
    else:
        key = f"{tried[0]}.pub" if tried and not tried[0].startswith("the ") else "your public key"
        hint = f"add {key} to ~/.ssh/authorized_keys of {host.user} on the pod, or correct the user or the key"
    return RefusedError(message, hint, code="auth_refused")


def open_key(host: ResolvedHost, key: str) -> RefusedError:
    """The error for a login that `ssh` tried without `key`, because others can read it."""
    message = f"{host.hostname} refused the login of {host.user}: ssh ignores {key}, which others can read"
    return RefusedError(message, f"chmod 600 {key}", code="auth_refused")


def is_encrypted(path: object) -> bool:
    """Whether `path` is a private key under a passphrase."""
    try:
        asyncssh.read_private_key(str(path))
    except asyncssh.KeyImportError as error:
        return "passphrase" in str(error).lower()
    except (OSError, ValueError):
        return False
    return False


def is_refused_login(error: BaseException) -> bool:
    """Whether the server has let nobody in by what was tried, be it before all of it was."""
    too_many = isinstance(error, asyncssh.DisconnectError) and "Too many authentication failures" in error.reason
    return too_many or isinstance(error, asyncssh.PermissionDenied)


def _network(error: BaseException, host: ResolvedHost) -> UnreachableError:
    place = f"{host.hostname} port {host.port}"
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"the name {host.hostname} cannot be resolved", "check the pod's address and this machine's DNS"
        )
    if isinstance(error, TimeoutError):
        what, hint = _NETWORK[errno.ETIMEDOUT]
        return UnreachableError(f"{place} {what}", hint)
    if isinstance(error, OSError):
        what, hint = _NETWORK.get(_errno_of(error), (f"cannot be reached: {error.strerror or error}", ""))
        return UnreachableError(f"{place} {what}", hint)
    reason = getattr(error, "reason", "") or str(error) or type(error).__name__
    # asyncssh has these very words where it knows no more.
    why = "" if reason.lower() == "connection lost" else f": {reason}"
    return UnreachableError(f"the connection to {place} was lost{why}")


def _errno_of(error: OSError) -> int:
    """asyncio folds the failures of several addresses into one error without a number: read its text."""
    if error.errno is not None:
        return error.errno
    text = str(error)
    return next((number for number in _NETWORK if f"[Errno {number}]" in text), 0)
