"""One pod: connect, keep what it says, notice when it stops, and try again. No pod ever delays another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from podops import errors
from podops.config.model import PodConfig, ProjectConfig
from podops.fleet import wire
from podops.fleet.snapshot import PodSnapshot, PodState, RunSnapshot
from podops.link.bootstrap import start_link
from podops.link.client import LinkClient
from podops.link.pod_archive import pod_archive
from podops.transport.base import Transport
from podops_runners import __version__
from podops_runners.frames import Frame
from podops_runners.protocol import PROTOCOL_VERSION

#: A live pod pushes once a second; after this long without a push what it said is old, seconds.
STALE_S = 5.0

#: First and longest wait before the next attempt; a refusal is not tried again for `REFUSED_S`, seconds.
FIRST_WAIT_S, LONGEST_WAIT_S, REFUSED_S = 1.0, 30.0, 300.0

#: A link that lived this long starts again with the first wait, seconds.
_STEADY_S = 10.0

LogListener = Callable[[Frame], None]


def transport_for(pod: PodConfig) -> Transport:
    """The way to `pod`. asyncssh is imported only when there is an SSH pod."""
    if pod.local:
        from podops.transport.local import LocalTransport

        return LocalTransport()
    from podops.transport.ssh import SshTransport

    return SshTransport(pod)


class PodLink:
    """Keeps `snapshot` true for one pod while `run` runs; `changed` is called after each change."""

    def __init__(
        self,
        config: ProjectConfig,
        pod: PodConfig,
        changed: Callable[[str], None],
        gate: asyncio.Semaphore,
        connect_timeout: float,
    ) -> None:
        self._config = config
        self._pod = pod
        self._changed = changed
        self._gate = gate
        self._connect_timeout = connect_timeout
        self._transport = transport_for(pod)
        self._client: LinkClient | None = None
        self._logs: dict[int, LogListener] = {}
        self._retry = asyncio.Event()
        self._pushed_at = time.monotonic()
        self._problem = ("", "")
        self._error_code = ""
        self._state_changed = asyncio.Event()
        #: Set once the pod is live with its full run list, or has failed for the first time.
        self.settled = asyncio.Event()
        self.snapshot = PodSnapshot(
            name=pod.name,
            state="connecting",
            transport=pod.transport,
            address=self._transport.address,
            since=time.time(),
            tags=pod.tags,
            price_per_hour=pod.price_per_hour,
        )

    async def run(self) -> None:
        """Connect and reconnect until cancelled."""
        wait = FIRST_WAIT_S
        while True:
            begun = time.monotonic()
            error = await self._attempt()
            if time.monotonic() - begun > _STEADY_S + self._connect_timeout:
                wait = FIRST_WAIT_S
            refused = isinstance(error, errors.RefusedError)
            pause = REFUSED_S if refused else wait * random.uniform(0.75, 1.25)
            wait = min(wait * 2, LONGEST_WAIT_S)
            self._retry.clear()
            self._fail("refused" if refused else "unreachable", error, time.time() + pause)
            if await _set_within(self._retry, pause):
                wait = FIRST_WAIT_S
                self._set(state="connecting")
            self._set(retry_at=None)

    def retry(self) -> None:
        """Connect now, unless connected."""
        self._retry.set()

    def listen(self, sub: int, listener: LogListener) -> None:
        """Give the log pushes of one subscription to `listener`, until the link is lost or `forget`."""
        self._logs[sub] = listener

    def forget(self, sub: int) -> None:
        self._logs.pop(sub, None)

    async def client(self) -> LinkClient:
        """The live link; waits for an attempt under way. Raises `UnreachableError` with the pod's reason."""
        while self._client is None:
            if self.snapshot.state in ("unreachable", "refused", "gone"):
                kind = errors.RefusedError if self.snapshot.state == "refused" else errors.UnreachableError
                reason = self.snapshot.reason or "not connected"
                message = f"pod {self._pod.name} cannot be reached: {reason}"
                raise kind(message, self.snapshot.hint, code=self._error_code)
            await self.state_change()
        return self._client

    async def state_change(self) -> None:
        """Wait for the next change of state."""
        await self._state_changed.wait()

    async def _attempt(self) -> errors.PodopsError:
        """One connection from its first byte to its loss; why it ended."""
        client: LinkClient | None = None
        try:
            async with self._gate:
                async with asyncio.timeout(self._connect_timeout):
                    client = await self._connect()
            return await self._watch(client)
        except TimeoutError:
            return errors.UnreachableError(
                f"{self._transport.address} did not answer within {self._connect_timeout:g} s",
                "is the pod up?",
            )
        except errors.PodopsError as error:
            return error
        except Exception as error:
            return errors.UnreachableError(f"connecting failed: {type(error).__name__}: {error}")
        finally:
            self._client = None
            self._logs.clear()
            if client is not None:
                await client.close()

    async def _connect(self) -> LinkClient:
        archive, sha256 = await asyncio.to_thread(pod_archive)
        started = await start_link(self._transport, self._pod.name, archive, sha256)
        client = LinkClient(started.process, self._pod.name, self._take_push, started.early)
        try:
            client.start()
            await client.request("hello", on_answer=lambda answer: self._take_hello(answer, client), **self._hello())
        except BaseException:
            with contextlib.suppress(Exception):
                await client.close()
            raise
        return client

    def _hello(self) -> dict[str, Any]:
        layout = {
            "heartbeat": self._config.tmux.heartbeat_file,
            "completion": self._config.artifacts.completion_file,
        }
        project = {"name": self._config.name, "outputs_dir": self._pod.outputs_dir, "layout": layout}
        return {
            "protocol": PROTOCOL_VERSION,
            "version": __version__,
            "client": socket.gethostname(),
            "projects": [project],
            "sample_interval_s": 1.0,
            "simulate_gpus": self._pod.simulated_gpus,
            "pod": self._pod.name,
            "tmux": {"enabled": self._config.tmux.enabled, "socket": self._config.tmux.socket},
            "gpu_busy_bytes": self._config.queue.gpu_busy_bytes,
        }

    def _take_hello(self, answer: Frame, client: LinkClient) -> None:
        if answer.header.get("protocol") != PROTOCOL_VERSION:
            raise errors.ProtocolError(f"pod {self._pod.name} speaks another version of the link protocol")
        projects = (wire.mapping(project) for project in wire.items(answer.header.get("projects")))
        problems = [wire.text(project.get("problem")) for project in projects]
        self._problem = (next((problem for problem in problems if problem), ""), "")
        self._client = client
        self._pushed_at = time.monotonic()
        self._set(host=wire.host_info(answer.header.get("host")))
        self._go_live()

    async def _watch(self, client: LinkClient) -> errors.PodopsError:
        """Wait for the end of the link; say `stale` while it is silent."""
        lost = asyncio.ensure_future(client.closed())
        try:
            while True:
                left = self._pushed_at + STALE_S - time.monotonic()
                done, _ = await asyncio.wait([lost], timeout=left if left > 0 else STALE_S)
                if done:
                    return lost.result()
                if self.snapshot.state == "live" and time.monotonic() - self._pushed_at >= STALE_S:
                    self._set(state="stale", reason=f"connected, but silent for {STALE_S:g} s")
        finally:
            lost.cancel()

    def _take_push(self, frame: Frame) -> None:
        kind = frame.header.get("push")
        if kind == "log":
            sub = frame.header.get("sub")
            if isinstance(sub, int) and (listener := self._logs.get(sub)):
                listener(frame)
            return
        self._pushed_at = time.monotonic()
        now = time.time()
        if kind == "sample":
            sample, gpus = (
                wire.host_sample(frame.header.get("host")),
                wire.gpu_report(frame.header.get("gpus")),
            )
            latency = self._client.latency_s if self._client else None
            self._set(sample=sample, gpus=gpus, last_seen=now, latency_s=latency)
        elif kind == "runs":
            listed = self.snapshot.listed or frame.header.get("full") is True
            self._set(runs=self._merge_runs(frame), listed=listed, last_seen=now)
            self._settle()
        elif kind == "problem":
            self._problem = (wire.text(frame.header.get("message")), "")
            self._set(reason=self._problem[0])
        if self.snapshot.state == "stale":
            self._go_live()

    def _merge_runs(self, frame: Frame) -> dict[str, RunSnapshot]:
        received = time.monotonic()
        runs = {} if frame.header.get("full") is True else dict(self.snapshot.runs)
        for item in wire.items(frame.header.get("changed"), wire.MANY_RUNS):
            if (run := wire.run(item, self._pod.name, received)) is not None:
                runs[run.run_id] = run
        for run_id in wire.gone_run_ids(frame.header.get("gone")):
            runs.pop(run_id, None)
        return runs

    def _go_live(self) -> None:
        self._set(state="live", reason=self._problem[0], hint=self._problem[1], retry_at=None)
        self._settle()

    def _settle(self) -> None:
        # A pod's first pushes may come before its answer to hello.
        if self._client is not None and self.snapshot.listed:
            self.settled.set()

    def _fail(self, state: PodState, error: errors.PodopsError, retry_at: float) -> None:
        self._error_code = error.error_code
        self._set(state=state, reason=error.message, hint=error.hint, retry_at=retry_at, latency_s=None)
        self.settled.set()

    def _set(self, **fields: Any) -> None:
        new_state = fields.get("state", self.snapshot.state) != self.snapshot.state
        if new_state:
            fields["since"] = time.time()
        self.snapshot = replace(self.snapshot, **fields)
        if new_state:
            self._state_changed.set()
            self._state_changed = asyncio.Event()
        self._changed(self._pod.name)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Whether `event` was set within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def who() -> str:
    """Who asks: `user@host` of this machine, for a run's records."""
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or _account()
    return f"{user}@{socket.gethostname()}"


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
