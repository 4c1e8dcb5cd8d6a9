"""A pod behind SSH for the length of a command: the OpenSSH client carries it, and is there before asyncssh would be.

An app keeps its own connections, which cost less each; a command that asks once has no time for that.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from podops.config.destination import Destination
from podops.config.model import PodConfig
from podops.errors import UnreachableError
from podops.transport import early, security_keys
from podops.transport.adopted import adopt
from podops.transport.base import PodProcess
from podops.transport.local import LocalProcess
from podops.transport.openssh_config import config_flags
from podops.transport.pod_key import check_key
from podops.transport.security_turns import BUSY, turns

if TYPE_CHECKING:
    from podops.transport.ssh import SshTransport

#: `ssh` ends with this when it could not connect or log in, or when the connection was lost.
_SSH_FAILED = 255

_CHUNK = 64 * 1024

#: So often a login that may have found the security key in use waits for its turn.
_TURNS = 2

# No question on a terminal, errors told whatever the configuration says, no forwarding, no command of the
# configuration's; a broken way is found as elsewhere.
_FLAGS = (
    *("-T", "-e", "none"),
    *("-o", "BatchMode=yes", "-o", "LogLevel=INFO"),
    *("-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no"),
    *("-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no", "-o", "ControlMaster=no"),
    *("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"),
)


def available() -> bool:
    return shutil.which("ssh") is not None


class OpenSshProcess(LocalProcess):
    """A command on a pod, through a running `ssh`."""

    first: bytes = b""
    #: What a person has to do for the login to go on; empty when it is nothing.
    asks: str = ""

    def _heard(self) -> None:
        found = security_keys.PROMPT.findall(self._stderr.decode("utf-8", "replace"))
        if found and not self.first and found[-1].strip() != self.asks:
            self.asks = found[-1].strip()
            turns().ask(self)
            security_keys.tell(self.asks)

    async def read(self, limit: int) -> bytes:
        if self.first:
            data, self.first = self.first[:limit], self.first[limit:]
            return data
        return await super().read(limit)

    async def write(self, data: bytes) -> None:
        try:
            await super().write(data)
        except UnreachableError as error:
            raise UnreachableError("ssh has ended", error.hint) from error

    async def wait_closed(self) -> tuple[int | None, str]:
        status, said = await super().wait_closed()
        return None if status == _SSH_FAILED else status, said

    async def close(self) -> None:
        # At once: everything asked has been answered, and a quick command shall not wait for its connection's end.
        # With a ProxyCommand that does not end by itself, which `ssh` leaves behind, also where it has ended first.
        self._signal(signal.SIGTERM)
        await super().close()


class OpenSshTransport:
    """The way to one `ssh:` pod. Our own SSH takes over where `ssh` cannot be started, and once a key is unlocked.

    Nowhere else: a login that failed is not tried a second time by other means, as servers count those.
    """

    def __init__(self, pod: PodConfig) -> None:
        self._pod = pod
        self._ours: SshTransport | None = None
        self._refused: SshTransport | None = None
        self._starting: OpenSshProcess | None = None
        self._crowded = False
        self._busy = ""
        self.address = pod.address

    async def start(self, command: str) -> PodProcess:
        """Connect and start `command`. Raises `RefusedError` and `UnreachableError`."""
        if self._ours is None:
            check_key(self._pod)
            started = await self._start(command)
            for _ in range(_TURNS):
                if not self._crowded_out(started):
                    break
                self._busy = BUSY
                async with turns().alone():
                    self._busy = ""
                    started = await self._start(command)
            if isinstance(started, OpenSshProcess):
                return started
            from podops.transport.ssh import SshTransport

            self._refused = SshTransport(self._pod)
            if started is not None:
                await self._explain(started, self._refused)
            self._ours = self._refused
        return await self._ours.start(command)

    def _crowded_out(self, started: OpenSshProcess | str | None) -> bool:
        """Whether it may have failed for no other reason than that another login had the security key."""
        return isinstance(started, str) and self._crowded and security_keys.NOT_THERE.search(started) is not None

    async def _explain(self, said: str, ours: SshTransport) -> NoReturn:
        from podops.transport import openssh_errors

        host = await ours.resolve()
        error = openssh_errors.explain(said, host)
        if error.error_code == "auth_refused":
            await asyncio.to_thread(ours.note_locked, host)
        raise error

    async def unlock(self) -> bool:
        """After a refusal: ask for the passphrase of a locked key; whether it is worth another attempt."""
        if self._refused is None or not await self._refused.unlock():
            return False
        self._ours = self._refused  # it has the unlocked key; `ssh` could not ask for it
        return True

    def asks(self) -> str:
        """What a person has to do for the login under way to go on, as far as `ssh` tells; empty when it is nothing."""
        if self._ours is not None:
            return self._ours.asks()
        return self._busy if self._starting is None else self._starting.asks

    def answered(self) -> bool:
        """Whether anybody has answered the attempt under way; of `ssh` that cannot be seen, so it may be so."""
        return self._ours is None or self._ours.answered()

    async def _start(self, command: str) -> OpenSshProcess | str | None:
        """The running command, what `ssh` said when it could not connect or log in, `None` without an `ssh`."""
        try:
            line = (*words_of(self._pod), command)
            started = await adopt(early.take(line) or early.start(line, os.environ))
        except (OSError, ValueError):
            return None
        process = self._starting = OpenSshProcess(started)
        turns().begin(process)
        try:
            process.first = await process.read(_CHUNK)
            if process.first:
                if not self._pod.source:  # a pod that a provider told of may be somebody else's by the next command
                    early.worked(self._pod.name, line)
                return process
            status, said = await process.wait_closed()
            if status is not None:
                return process
        except BaseException:
            await process.close()
            raise
        finally:
            self._starting = None
            turns().done(process)
        self._crowded = turns().crowded(process)
        await process.close()
        return said


def words_of(pod: PodConfig) -> list[str]:
    """The command line of `ssh`, but for the command. Raises `ValueError` for what is no destination."""
    named = Destination.parse(pod.ssh or "")
    words = ["ssh", *_FLAGS, *config_flags(pod.ssh_config)]
    if port := pod.port or named.port:
        words += ["-p", str(port)]
    if named.user:
        words += ["-l", named.user]
    if pod.identity_file:
        words += ["-i", str(Path(pod.identity_file).expanduser())]
    return [*words, "--", named.host]
