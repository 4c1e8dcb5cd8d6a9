"""One client's share of one pod's link: what it asks is asked on the link, what the pod says is said to it too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from podops.errors import PodopsError, UnreachableError
from podops.fleet.fleet import Fleet
from podops.fleet.outward import wire_hello, wire_runs, wire_sample
from podops.fleet.pod_link import PodLink
from podops.fleet.snapshot import HostSample, RunSnapshot
from podops.link.client import LinkClient
from podops_runners import __version__
from podops_runners.frames import MAX_HEADER_BYTES, Frame, encode_frame
from podops_runners.protocol import E_USAGE, PROTOCOL_VERSION

#: Longer than any client waits: it is the client that gives up.
_WITHIN_S = 300.0

#: A client is told of a change only once the links's own list has it, if that comes within so many seconds: what it, or
#: another, asks next then knows of it.
_SEEN_S = 0.5

_CHANGES = ("submit", "kill", "queue")

#: Needs a link of one's own: its numbers are the client's to choose.
_NOT_SHARED = ("open",)

#: Of a frame; the others are the request's fields.
_NOT_FIELDS = ("id", "op", "bytes")

#: Written anew, a header may be longer than it came; one too long would end the link for everybody.
_MOST_BYTES = MAX_HEADER_BYTES - 4096

Send = Callable[[dict[str, Any], bytes], None]


class LinkProxy:
    """Serves the frames of one client until the link it shares is lost."""

    def __init__(self, fleet: Fleet, pod: str, client: LinkClient, send: Send) -> None:
        self._fleet = fleet
        self._pod = pod
        self._link: PodLink = fleet.link(pod)
        self._client = client
        self._send = send
        self._subs: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop: Callable[[], None] | None = None
        self._runs: Mapping[str, RunSnapshot] | None = None
        self._sample: HostSample | None = None
        self._unlisted = ""

    async def lost(self) -> None:
        """Wait until the link is lost."""
        await self._client.closed()

    def take(self, frame: Frame) -> None:
        """Serve one frame of the client."""
        fields = {name: value for name, value in frame.header.items() if name not in _NOT_FIELDS}
        op, number = frame.header.get("op"), frame.header.get("id")
        if not isinstance(op, str):
            return
        if number is None:
            # Numbers of logs and connections are those of the one link: nobody speaks for another's.
            if op == "ack" and self._is_own(fields):
                self._client.notify(op, sub=fields["sub"], offset=fields.get("offset"))
        elif op == "hello":
            self._hello(number)
        elif op == "rate" or (op == "unfollow" and not self._is_own(fields)):
            self._send({"id": number, "ok": True}, b"")
        elif len(encode_frame(fields)) > _MOST_BYTES:
            self._fail(number, PodopsError(f"`{op}` is longer than a link takes", code=E_USAGE))
        elif op in _NOT_SHARED:
            self._fail(number, PodopsError(f"`{op}` needs a link of its own", code=E_USAGE))
        else:
            task = asyncio.create_task(self._forward(number, op, fields))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _is_own(self, fields: Mapping[str, Any]) -> bool:
        sub = fields.get("sub")
        return isinstance(sub, int) and sub in self._subs

    async def close(self) -> None:
        """End everything that was begun for the client."""
        if self._stop is not None:
            self._stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sub in self._subs:
            self._link.listeners.forget(sub)
            with contextlib.suppress(PodopsError):
                await self._client.request("unfollow", within=1.0, sub=sub)

    def _hello(self, number: object) -> None:
        told = {"protocol": PROTOCOL_VERSION, "version": __version__}
        self._send({"id": number, "ok": True, **told, **wire_hello(self._link.snapshot)}, b"")
        if self._stop is None:
            self._stop = self._fleet.subscribe(self._changed)
        self._push()

    def _changed(self, pods: frozenset[str]) -> None:
        if self._pod in pods:
            self._push()

    def _push(self) -> None:
        seen = self._link.snapshot
        if seen.unlisted != self._unlisted:
            self._unlisted = seen.unlisted
            self._send({"push": "problem", "message": seen.unlisted, "about": "runs"}, b"")
        if seen.listed and seen.as_of is None and seen.runs is not self._runs:
            pushes = wire_runs(seen.runs, self._runs)
            self._runs = seen.runs
            for push in pushes:
                self._send(push, b"")
        if seen.sample is not self._sample:
            self._sample = seen.sample
            if (sample := wire_sample(seen)) is not None:
                self._send(sample, b"")

    async def _forward(self, number: object, op: str, fields: dict[str, Any]) -> None:
        answered = partial(self._followed, number) if op == "follow" else None
        runs = self._link.snapshot.runs
        try:
            answer = await self._client.forward(op, fields, within=_WITHIN_S, on_answer=answered)
        except UnreachableError:
            return  # the link is lost, which the client is told by the end of this connection
        except PodopsError as error:
            self._fail(number, error)
            return
        if op == "unfollow" and isinstance(sub := fields.get("sub"), int):
            self._link.listeners.forget(sub)
            self._subs.discard(sub)
        if op in _CHANGES:
            run_id = _run_id(fields)
            await self._fleet.until(lambda: self._link.snapshot.runs.get(run_id) is not runs.get(run_id), _SEEN_S)
        if answered is None:
            self._send({**answer.header, "id": number}, answer.payload)

    def _followed(self, number: object, answer: Frame) -> None:
        """The answer goes before the first bytes, which may come in the same moment."""
        self._send({**answer.header, "id": number}, answer.payload)
        if isinstance(sub := answer.header.get("sub"), int):
            self._subs.add(sub)
            self._link.listeners.listen(sub, lambda frame: self._send(frame.header, frame.payload))

    def _fail(self, number: object, error: PodopsError) -> None:
        told = {"code": error.error_code, "message": error.message, "hint": error.hint}
        self._send({"id": number, "ok": False, "error": told}, b"")


def _run_id(fields: Mapping[str, Any]) -> str:
    """The run that a change is about."""
    spec = fields.get("spec")
    return str(spec.get("run_id") if isinstance(spec, dict) else fields.get("run_id"))
