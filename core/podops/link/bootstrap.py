"""From a bare login on a pod to a running link process: one command, and an upload when it is needed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from podops.errors import PodSetupError, ProtocolError
from podops.link.pod_archive import is_made, pod_archive
from podops.transport.base import LogsIn, PodProcess, Transport
from podops_runners.basics import FOR_LINKS

#: A login shell may print this much before our first word.
MAX_BANNER_BYTES = 64 * 1024

_MARKER = b"\n\x01podops"
_MAX_REPORT_BYTES = 4096
_CHUNK = 64 * 1024

# Runs under every Python 3, to be able to say that it is too old. The file it starts is only ever one that
# the user owns, in a directory nobody else can write to, and whose hash is right. What else the login's environment
# holds ends here.
# Neither `json` nor `hashlib` is loaded where it can be done without: they take as long as the rest.
_SCRIPT = r"""
import sys, os
try:
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256
def say(**report):
    report["python"] = list(sys.version_info[:3])
    if list(report) == ["have", "python"]:
        told = '{"have": %s, "python": %s}' % (str(report["have"]).lower(), report["python"])
    else:
        import json
        told = json.dumps(report)
    os.write(1, ("\n\x01podops" + told + "\n").encode())
def good(path):
    try:
        with open(path, "rb") as f:
            return os.fstat(f.fileno()).st_uid == os.geteuid() and sha256(f.read()).hexdigest() == SHA
    except OSError:
        return False
def whole(d):
    try:
        with open(os.path.join(d, "sizes")) as f:
            lines = [line.split(" ", 1) for line in f.read().splitlines()]
        return bool(lines) and all(os.path.getsize(os.path.join(d, name)) == int(size) for size, name in lines)
    except (OSError, ValueError):
        return False
def writable(d):
    try:
        os.makedirs(d, 0o700, exist_ok=True)
        s = os.lstat(d)
        if (s.st_mode & 0o170077) != 0o040000 or s.st_uid != os.geteuid():
            return False
        probe = os.path.join(d, ".probe-%d" % os.getpid())
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.unlink(probe)
        return True
    except OSError:
        return False
def place():
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~/.cache")
    for d in (cache, home, "/tmp"):
        if not d.startswith("/"):
            continue
        d = os.path.join(d, "podops") if d != "/tmp" else "/tmp/podops-%d" % os.geteuid()
        if writable(d):
            return d
def receive(path):
    data = b""
    while len(data) < SIZE:
        part = os.read(0, min(1 << 20, SIZE - len(data)))
        if not part:
            return "the upload ended early"
        data += part
    new = "%s.%d" % (path, os.getpid())
    try:
        with open(new, "wb") as f:
            os.chmod(new, 0o600)
            f.write(data)
        if not good(new):
            os.unlink(new)
            return "what arrived has another hash than what was sent"
        os.rename(new, path)
    except OSError as e:
        try:
            os.unlink(new)
        except OSError:
            pass
        return "%s: %s" % (os.path.dirname(path), e.strerror)
def main():
    if sys.version_info < (3, 8):
        return say(error="python")
    d = place()
    if d is None:
        return say(error="place")
    path = os.path.join(d, "podops-%s.pyz" % SHA)
    have = good(path)
    say(have=have)
    if not have:
        problem = receive(path)
        if problem:
            return say(error="store", message=problem)
        say(have=True)
    python = sys.executable or "python3"
    env = dict((name, os.environ[name]) for name in ENV if name in os.environ)
    if sys.argv[1:]:
        env["PODOPS_GREETING"] = sys.argv[1]
    env["MALLOC_ARENA_MAX"] = "1"  # one heap for all threads: of those that only wait, each keeps a megabyte
    copy = path[:-4]  # unpacked and compiled by the agent: a third of the time to start
    if whole(copy):
        path = copy + "/__main__.py"
    os.execvpe(python, [python, "-I", "-S", path, "link"], env)
main()
"""


@dataclass(frozen=True, slots=True)
class Started:
    """A link process that has its greeting, or waits for one. `early` is what it has said already."""

    process: PodProcess
    early: bytes
    uploaded: bool


class _Reports:
    """Finds the bootstrap's own lines in what the pod prints."""

    def __init__(self, process: PodProcess, pod: str) -> None:
        self._process = process
        self._pod = pod
        self.rest = b""

    async def next(self) -> dict[str, Any]:
        """The next report. Raises `PodSetupError` when the pod ends or prints too much before it."""
        while True:
            start = self.rest.find(_MARKER)
            end = self.rest.find(b"\n", start + len(_MARKER)) if start >= 0 else -1
            if end >= 0:
                line = self.rest[start + len(_MARKER) : end]
                self.rest = self.rest[end + 1 :]
                return _parse(line, self._pod)
            if len(self.rest) > MAX_BANNER_BYTES + _MAX_REPORT_BYTES:
                raise PodSetupError(
                    f"the login shell of pod {self._pod} prints over {MAX_BANNER_BYTES >> 10} KiB by itself",
                    "make its start-up files silent for logins without a terminal",
                )
            data = await self._process.read(_CHUNK)
            if not data:
                raise await self._ended()
            self.rest += data

    async def _ended(self) -> PodSetupError:
        status, stderr = await self._process.wait_closed()
        said = stderr.splitlines()[-1][:300] if stderr else ""
        if status in (126, 127):
            return PodSetupError(
                f"python3 is not installed on pod {self._pod}",
                "install Python 3.8 or later there, or put it on the PATH of a login without a terminal",
            )
        if status is None:
            return PodSetupError(f"the connection to pod {self._pod} closed while the link was starting", said)
        shown = f": {said}" if said else ""
        return PodSetupError(f"the login shell of pod {self._pod} ended with status {status}{shown}")


@functools.lru_cache(1)
def _script_command(sha256: str, size: int) -> str:
    source = f"SHA={sha256!r}\nSIZE={size}\nENV={FOR_LINKS!r}\n{_SCRIPT}"
    code = base64.b64encode(source.encode()).decode()
    # Not through `base64`, which would load all of `re`.
    return f"exec python3 -I -S -c 'import binascii;exec(binascii.a2b_base64(\"{code}\"))'"


def bootstrap_command(sha256: str, size: int, greeting: bytes = b"") -> str:
    """The one command a pod is started with; no shell reads any character of it in its own way."""
    command = _script_command(sha256, size)
    return f"{command} '{base64.b64encode(greeting).decode()}'" if greeting else command


async def start_link(
    transport: Transport, pod: str, answered: Callable[[], None] = lambda: None, greeting: bytes = b""
) -> Started:
    """Start the pod side. `answered` is called as soon as the pod has let us in.

    `greeting`, a frame without payload, is a part of the command, so that the link process has it from the start: sent
    to its standard input it would have to wait until sshd opens that, a round trip later, and start-up files of
    the login could read it.
    Raises `UnreachableError` and its kinds; the connection is closed then.
    """
    process = await _started(transport, answered, greeting)
    try:
        reports = _Reports(process, pod)
        report = await reports.next()
        _check(report, pod)
        uploaded = not report.get("have")
        if uploaded:
            await process.write(pod_archive()[0])
            _check(await reports.next(), pod)
        return Started(process, reports.rest, uploaded)
    except BaseException:
        with contextlib.suppress(Exception):
            await process.close()
        raise


async def _started(transport: Transport, answered: Callable[[], None], greeting: bytes) -> PodProcess:
    if not isinstance(transport, LogsIn):
        process = await transport.start(await _command(greeting))
        answered()
        return process
    # Made while the packets of the login are on their way.
    command = asyncio.create_task(_command(greeting))
    try:
        return await transport.log_in_and_start(command, answered)
    finally:
        command.cancel()


async def _command(greeting: bytes) -> str:
    archive, sha256 = pod_archive() if is_made() else await asyncio.to_thread(pod_archive)
    return bootstrap_command(sha256, len(archive), greeting)


def _parse(line: bytes, pod: str) -> dict[str, Any]:
    try:
        report = json.loads(line[:_MAX_REPORT_BYTES])
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict):
        raise ProtocolError(f"pod {pod} sent something that is not our protocol while starting")
    return report


def _check(report: dict[str, Any], pod: str) -> None:
    error = report.get("error")
    if error is None:
        return
    if error == "python":
        version = ".".join(str(part) for part in _numbers(report.get("python")))
        raise PodSetupError(f"python3 on pod {pod} is {version}, which is too old", "install Python 3.8 or later there")
    if error == "place":
        raise PodSetupError(
            f"pod {pod} has no place for the pod side: ~/.cache/podops and /tmp are read-only or not private",
            "make ~/.cache/podops writable, owned by the user and mode 700",
        )
    message = str(report.get("message", "unknown"))[:300]
    raise PodSetupError(f"the pod side could not be stored on pod {pod}: {message}", "is its disk full?")


def _numbers(value: object) -> list[int]:
    return [part for part in value if isinstance(part, int)][:3] if isinstance(value, list) else []
