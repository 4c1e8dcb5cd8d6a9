"""A pod behind SSH for the length of a command: the OpenSSH client carries it, and is there before asyncssh would be.

An app keeps its own connections, which cost less each; a command that asks once has no time for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from podops.config.model import PodConfig
from podops.errors import UnreachableError
from podops.transport.base import PodProcess
from podops.transport.destination import Destination
from podops.transport.local import LocalProcess
from podops.transport.openssh_config import config_flags

if TYPE_CHECKING:
    from podops.transport.ssh import SshTransport

#: `ssh` ends with this when it could not connect or log in, or when the connection was lost.
_SSH_FAILED = 255

_CHUNK = 64 * 1024

# No question on a terminal, no forwarding, no command of the configuration's; a broken way is found as elsewhere.
_FLAGS = (
    *("-T", "-e", "none"),
    *("-o", "BatchMode=yes"),
    *("-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no"),
    *("-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no", "-o", "ControlMaster=no"),
    *("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"),
)


def available() -> bool:
    return shutil.which("ssh") is not None


class OpenSshProcess(LocalProcess):
    """A command on a pod, through a running `ssh`."""

    first: bytes = b""

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
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await super().close()


class OpenSshTransport:
    """The way to one `ssh:` pod. What `ssh` cannot do without asking is done, or explained, by our own SSH."""

    def __init__(self, pod: PodConfig) -> None:
        self._pod = pod
        self._ours: SshTransport | None = None
        self.address = pod.address

    async def start(self, command: str) -> PodProcess:
        """Connect and start `command`. Raises `RefusedError` and `UnreachableError`."""
        if self._ours is None:
            process = await self._start(command)
            if process is not None:
                return process
            from podops.transport.ssh import SshTransport

            self._ours = SshTransport(self._pod)
        return await self._ours.start(command)

    async def unlock(self) -> bool:
        """After a refusal: ask for the passphrase of a locked key; whether it is worth another attempt."""
        return self._ours is not None and await self._ours.unlock()

    def answered(self) -> bool:
        """Whether anybody has answered the attempt under way; of `ssh` that cannot be seen, so it may be so."""
        return self._ours is None or self._ours.answered()

    async def _start(self, command: str) -> OpenSshProcess | None:
        """The running command, or `None` when `ssh` could not connect or log in."""
        try:
            started = await asyncio.create_subprocess_exec(
                *_words(self._pod),
                command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
                env=_environment(os.environ),
            )
        except (OSError, ValueError):
            return None
        process = OpenSshProcess(started)
        try:
            process.first = await process.read(_CHUNK)
            if process.first or (await process.wait_closed())[0] is not None:
                return process
        except BaseException:
            await process.close()
            raise
        await process.close()
        return None


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours but for the locale, which most configurations send along: the pod's runs must not depend on who asks."""
    return {name: value for name, value in environ.items() if name != "LANG" and not name.startswith("LC_")}


def _words(pod: PodConfig) -> list[str]:
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
