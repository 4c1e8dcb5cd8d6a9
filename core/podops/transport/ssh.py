"""A pod behind SSH, reached as the OpenSSH client would: same aliases, keys, agent, jump hosts, host keys."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import asyncssh

from podops.config.destination import Destination
from podops.config.model import PodConfig
from podops.errors import RefusedError, UnreachableError
from podops.transport import locked_keys
from podops.transport.host_keys import HostKeyCheck
from podops.transport.local import STDERR_TAIL
from podops.transport.login_places import Place, login_place
from podops.transport.pod_key import check_key
from podops.transport.prompt_acks import PromptAcks
from podops.transport.proxy_process import ProxyProcess
from podops.transport.security_keys import PATIENCE_S, WatchedAgent
from podops.transport.signed_login import sign_at_once
from podops.transport.sink import Sink
from podops.transport.ssh_config import MAX_JUMPS, ResolvedHost, resolve
from podops.transport.ssh_errors import SAID_NOTHING, explain, is_encrypted, is_refused_login
from podops.transport.ssh_files import decides_by_command

#: A peer that misses three of these is gone, seconds.
KEEPALIVE_S = 2.0

#: How long one connection of a chain may take to be made, and to log in, seconds.
CONNECT_S = 15.0

#: How long closing may take before the connection is dropped, seconds.
_CLOSE_S = 0.5

#: In front of the others, not instead of them: measured 1.4 times as fast as the default.
_FAST_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"

#: What only a server can cause: a ProxyCommand has worked.
_ANSWERS = (asyncssh.PermissionDenied, asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed)

# What goes wrong is raised; without a handler of its own asyncssh would write over the terminal as well.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())

sign_at_once()


class SshProcess:
    """One command on an SSH connection of its own, with the jump connections under it."""

    def __init__(
        self,
        process: asyncssh.SSHClientProcess[bytes],
        connections: list[asyncssh.SSHClientConnection],
        host: ResolvedHost,
    ) -> None:
        self._process = process
        self._connections = connections
        self._host = host
        self._stderr = bytearray()
        self._acknowledge = PromptAcks(connections[-1])
        self._acknowledge()
        self._drain = asyncio.create_task(self._drain_stderr(), name="podops-ssh-stderr")

    async def read(self, limit: int) -> bytes:
        try:
            data = await self._process.stdout.read(limit)
            self._acknowledge()
            return data
        except (asyncssh.Error, OSError) as error:
            raise explain(error, self._host) from error

    async def hand_over(self, take: Callable[[bytes], None]) -> None:
        """Without a task and a turn of the loop between the connection and `take` for every packet."""
        sink = Sink(take, self._acknowledge)
        await self._process.redirect_stdout(cast("IO[bytes]", sink))
        await sink.over
        # A connection that was lost has left the reason there.
        await self.read(1)

    async def write(self, data: bytes) -> None:
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (asyncssh.Error, OSError) as error:
            raise explain(error, self._host) from error

    async def wait_closed(self) -> tuple[int | None, str]:
        await self._process.wait_closed()
        await asyncio.wait([self._drain], timeout=_CLOSE_S)
        return self._process.returncode, self._stderr.decode("utf-8", "replace").strip()

    async def close(self) -> None:
        try:
            if not self._process.stdin.is_closing():
                self._process.stdin.write_eof()
        except (asyncssh.Error, OSError):
            pass
        self._process.close()
        self._drain.cancel()
        await close_connections(self._connections)

    async def _drain_stderr(self) -> None:
        try:
            while data := await self._process.stderr.read(STDERR_TAIL):
                self._stderr += data
                del self._stderr[:-STDERR_TAIL]
        except (asyncssh.Error, OSError):
            pass


async def close_connections(connections: list[asyncssh.SSHClientConnection]) -> None:
    """Close the last connection first, each within a bounded time."""
    for connection in reversed(connections):
        connection.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await connection.wait_closed()
        except (TimeoutError, asyncssh.Error, OSError):
            connection.abort()
        except BaseException:
            for rest in connections:
                rest.abort()
            raise


class SshTransport:
    """The way to one `ssh:` pod."""

    def __init__(self, pod: PodConfig) -> None:
        self._pod = pod
        # The locked keys of the host that refused the login last.
        self._locked: list[Path] = []
        # The files with the host keys that were not the right ones.
        self._untrusting: tuple[Path, ...] = ()
        self._untrusted_at: list[int] = []
        self._last: ResolvedHost | None = None
        self._answered = self._queues = False
        self._agent = WatchedAgent()
        self.address = pod.address

    async def start(self, command: str) -> SshProcess:
        """Connect and start `command`. Raises `RefusedError` and `UnreachableError`."""
        given: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        given.set_result(command)
        return await self.log_in_and_start(given, lambda: None)

    async def log_in_and_start(self, command: Awaitable[str], let_in: Callable[[], None]) -> SshProcess:
        """The same; `let_in` is called when the pod has let us in, and `command` is waited for only then."""
        self._answered = self._queues = False
        host = self._last = await self.resolve()
        connections: list[asyncssh.SSHClientConnection] = []
        try:
            await self._connect_chain(host, connections, MAX_JUMPS)
            let_in()
            process = await connections[-1].create_process(await command, encoding=None, env=None, send_env=None)
            return SshProcess(process, connections, host)
        except (asyncssh.Error, OSError) as error:
            await close_connections(connections)
            raise explain(error, host) from error
        except BaseException:
            await close_connections(connections)
            raise

    def note_locked(self, host: ResolvedHost) -> None:
        """After a refused login: which keys could not be tried."""
        useless = (*locked_keys.unlocked, *host.security_keys)
        files = (path for path in host.identity_files if path not in useless)
        self._locked = [path for path in files if is_encrypted(path)]

    async def unlock(self) -> bool:
        """After a refused login: ask for the passphrase of a key that was not tried; whether to try again."""
        desk = locked_keys.desk()
        return desk is not None and await desk.unlock(self._locked)

    def answered(self) -> bool:
        """Whether a server, be it that of a jump host, has taken the connection of the last `start`."""
        return self._answered

    def queues(self) -> bool:
        """Whether the login under way waits for others on the same server."""
        return self._queues

    def asks(self) -> str:
        """What a person has to do for the login under way to go on; empty when it is nothing."""
        return self._agent.asks

    def mended(self) -> bool:
        """Whether known_hosts has been changed since a host key was refused."""
        return _changed_at(self._untrusting) != self._untrusted_at

    async def leads_there_still(self) -> bool:
        """Whether a connection made now would go where the last one went; asks only where a `Match exec` decides."""
        if self._last is None or not decides_by_command(self._pod.ssh_config, os.environ):
            return True
        try:
            return (await self.resolve()).way == self._last.way
        except RefusedError:
            return False

    async def resolve(self) -> ResolvedHost:
        """What the configuration says about the pod. Raises `RefusedError` when it cannot be used."""
        try:
            named = Destination.parse(self._pod.ssh or "")
            destination = Destination(named.host, named.user, self._pod.port or named.port)
            host = await asyncio.to_thread(resolve, destination, self._pod.ssh_config, self._pod.identity_file)
        except (ValueError, OSError) as error:
            raise RefusedError(
                f"the SSH settings of pod {self._pod.name} cannot be used: {error}",
                "check your ssh config file",
            ) from error
        check_key(self._pod)
        return host

    async def _connect_chain(
        self, host: ResolvedHost, connections: list[asyncssh.SSHClientConnection], jumps_left: int
    ) -> None:
        """Connect to `host` through its jump hosts, adding each connection to `connections` as it is made."""
        if jumps_left <= 0:
            raise RefusedError(f"the jump hosts of {self._pod.ssh} form a loop", "check ProxyJump in your ssh config")
        for index, jump in enumerate(host.jumps):
            resolved = await asyncio.to_thread(resolve, jump, self._pod.ssh_config)
            if index:
                await self._connect(resolved, connections)
            else:
                await self._connect_chain(resolved, connections, jumps_left - 1)
        await self._connect(host, connections)

    async def _connect(self, host: ResolvedHost, connections: list[asyncssh.SSHClientConnection]) -> None:
        self._queues = True
        async with login_place(host) as place:
            self._queues = False
            await self._log_in(host, connections, place)

    async def _log_in(self, host: ResolvedHost, connections: list[asyncssh.SSHClientConnection], place: Place) -> None:
        def take_answer(connection: asyncssh.SSHClientConnection) -> None:
            place.answered()
            self._answered = True
            self._agent.watch(connection)

        options = _options(host, connections)
        options["client_factory"] = functools.partial(HostKeyCheck, host, take_answer)
        self._agent = WatchedAgent()
        try:
            async with _proxy_command(host, connections, options) as said:
                name = host.host if host.options.get("config") else host.hostname
                connections.append(await asyncssh.connect(name, **options))
        except UnreachableError:
            raise
        except (asyncssh.Error, OSError, TimeoutError, ValueError) as error:
            unknown = isinstance(error, asyncssh.HostKeyNotVerifiable)
            self._untrusting = host.host_keys.files if unknown else ()
            self._untrusted_at = _changed_at(self._untrusting)
            if is_refused_login(error):
                self.note_locked(host)
                if complaint := self._agent.complaint(host):
                    raise complaint from error
            if host.proxy_command and not connections and isinstance(error, asyncssh.ConnectionLost):
                said = said or [SAID_NOTHING]
            if said and not isinstance(error, _ANSWERS):
                message = f"the ProxyCommand of {host.host} failed: {said[-1][:300]}"
                raise UnreachableError(message, f"try it by hand: {host.proxy_command}") from error
            raise explain(error, host) from error


def _changed_at(files: Sequence[Path]) -> list[int]:
    """When each was written last, 0 for one that is not there."""
    return [path.stat().st_mtime_ns if path.is_file() else 0 for path in files]


@contextlib.asynccontextmanager
async def _proxy_command(
    host: ResolvedHost, connections: list[asyncssh.SSHClientConnection], options: dict[str, Any]
) -> AsyncIterator[list[str]]:
    """Let the ProxyCommand be the way. Yields a list that has its complaints afterwards."""
    said: list[str] = []
    if host.proxy_command is None or connections:
        yield said
        return
    with tempfile.NamedTemporaryFile(prefix="podops-proxy-") as errors:
        options["tunnel"] = way = ProxyProcess(host.proxy_command, errors.file)
        try:
            yield said
        except Exception:
            await way.last_words()
            raise
        finally:
            said += _lines(Path(errors.name))


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", "replace").strip().splitlines()


def _options(host: ResolvedHost, connections: list[asyncssh.SSHClientConnection]) -> dict[str, Any]:
    """Everything podops decides by itself, and what the configuration says."""
    # Who makes the link gives up sooner, but for a person whom the agent asks.
    patience = CONNECT_S + (PATIENCE_S if host.agent else 0)
    options: dict[str, Any] = {
        "port": host.port,
        "username": host.user,
        "known_hosts": host.host_keys,
        "tunnel": connections[-1] if connections else None,
        "proxy_command": None,
        "ignore_encrypted": True,
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": 3,
        "connect_timeout": patience,
        "login_timeout": patience,
        "request_pty": False,
        "command": None,
        "agent_forwarding": False,
        "encryption_algs": _FAST_CIPHERS,
        **host.options,
    }
    if host.client_keys is not None:
        options["client_keys"] = [_usable(name) for name in host.client_keys]
    if host.agent_keys is not None:
        options["agent_identities"] = list(host.agent_keys)
    options["agent_path"] = host.agent if host.agent_keys is None or host.agent_keys else ""
    return options


def _usable(name: str) -> Any:
    """A key file, or the key itself when it was unlocked, with the certificate that lies beside it."""
    key = locked_keys.unlocked.get(Path(name))
    certificate = Path(f"{name}-cert.pub")
    if key is None:
        return name
    return (key, str(certificate)) if certificate.is_file() else key
