"""From what `ssh` says before it gives up to what a person can act on; nothing is tried again for that."""

from __future__ import annotations

import errno
import os
import re
import socket
from dataclasses import replace

from podops.errors import RefusedError, UnreachableError
from podops.transport import security_keys, ssh_errors
from podops.transport.ssh_config import ResolvedHost

_CONNECT = re.compile(r"connect to host (?P<host>\S+) port (?P<port>\d+): (?P<why>.+)")
_NO_NAME = re.compile(r"Could not resolve hostname (?P<host>\S+?):")
_OPEN_KEY = re.compile(r"Permissions \d+ for '(?P<key>.+)' are too open")
_UNSIGNED = re.compile(r"signing failed for \S+-SK \"(?P<key>.+?)\"(?: from agent)?: (?P<why>.+)")
_NO_METHOD = re.compile(r"Unable to negotiate with .*?: (?P<why>no matching .*)")

#: Said when the way there, a jump host's or a ProxyCommand's, ended first.
_WAY_ENDED = re.compile(r"UNKNOWN port 65535|kex_exchange_identification: Connection closed by remote host")

#: How often it fails where a pod is starting or an address is old; the numbers are those of the system's own words.
_ENDINGS = {
    "timed out": errno.ETIMEDOUT,
    "not responding": errno.ETIMEDOUT,
    "onnection reset": errno.ECONNRESET,
    "onnection closed": errno.ECONNRESET,
}

_NUMBERS = {os.strerror(number): number for number in errno.errorcode}


def explain(said: str, host: ResolvedHost) -> UnreachableError:
    """The error a person sees after `ssh` to `host` ended with `said` on its standard error."""
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1].strip()[:300] if lines else "it said nothing"
    # A ProxyCommand may still complain after `ssh` has, which only sees it hang up.
    of_the_way = lines if host.proxy_command else lines[-1:]
    if len(lines) > 1 and any(_WAY_ENDED.search(line) for line in of_the_way):
        return _broken_way(lines, host)
    return _at_connecting(said, host) or _at_login(said, last, host) or _in_its_words(last, host)


def _at_connecting(said: str, host: ResolvedHost) -> UnreachableError | None:
    if found := _CONNECT.search(said):
        place = replace(host, hostname=found["host"], port=int(found["port"]))
        why = found["why"].strip()
        return ssh_errors.explain(OSError(_NUMBERS.get(why, 0), why), place)
    if found := _NO_NAME.search(said):
        return ssh_errors.explain(socket.gaierror(), replace(host, hostname=found["host"]))
    return None


def _at_login(said: str, last: str, host: ResolvedHost) -> UnreachableError | None:
    if "Host key verification failed" in last:
        changed = "IDENTIFICATION HAS CHANGED" in said
        return ssh_errors.changed_host_key(host) if changed else ssh_errors.unknown_host_key(host)
    if "Permission denied" in last and (found := _OPEN_KEY.search(said)):
        return ssh_errors.open_key(host, found["key"])
    if "Permission denied" in last and (found := _UNSIGNED.search(said)):
        return security_keys.not_used(found["key"], host, found["why"].strip()[:100])
    if "Permission denied" in last or "Too many authentication failures" in said:
        return ssh_errors.refused_login(host)
    if found := _NO_METHOD.search(said):
        return ssh_errors.no_common_method(host, found["why"])
    number = next((number for words, number in _ENDINGS.items() if words in last), None)
    return None if number is None else ssh_errors.explain(OSError(number, last), host)


def _broken_way(lines: list[str], host: ResolvedHost) -> UnreachableError:
    """The pod was never reached; the first who complained tells why."""
    told = next((line for line in lines if not _WAY_ENDED.search(line)), "").strip()[:300]
    if host.proxy_command:
        told = told or ssh_errors.SAID_NOTHING
        message, hint = f"the ProxyCommand of {host.host} failed: {told}", f"try it by hand: {host.proxy_command}"
        return UnreachableError(message, hint)
    if "Permission denied" in told or "Host key verification failed" in told:
        return RefusedError(f"the way to {host.host} is refused: {told}", f"try by hand: ssh {host.host}")
    told = told or lines[0].strip()[:300]
    return _at_connecting(told, host) or _in_its_words(told, host)


def _in_its_words(last: str, host: ResolvedHost) -> UnreachableError:
    return UnreachableError(
        f"ssh cannot reach {host.login}: {last}", f"try it by hand: {host.command_prefix} {host.host}"
    )
