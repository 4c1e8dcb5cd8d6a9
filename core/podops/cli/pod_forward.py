"""`ops pod forward`."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from podops.cli.context import Options, find_run, json_option, open_fleet, run_async
from podops.cli.lazy_group import until_ctrl_c
from podops.cli.number import WholeNumber
from podops.cli.output import json_text, say
from podops.cli.run_argument import one_run, pod_option, pods_of, run_argument
from podops.cli.run_view import endpoint_view
from podops.errors import PodActionError, RefusedActionError, UsageError

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet
    from podops.fleet.port_forward import PortForward
    from podops.fleet.snapshot import PodSnapshot, RunSnapshot

#: The same trouble is told once in so long, seconds.
_TELL_AGAIN_S = 5.0


@click.command("forward")
@run_argument
@pod_option
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    metavar="LOCAL",
    help="Port on this machine; without it the service's own number or, where that is taken, one that is free.",
)
@json_option
@click.pass_obj
def forward(options: Options, position: str | None, run_id: str | None, pod: str | None, port: int | None) -> int:
    """Open the port of a run's service on this machine.

    On 127.0.0.1, for as long as the run lives: waits until the service is ready, and stays through restarts of the
    service and losses of the link (connections that are open then are reset). ctrl-c ends it. Exit code 1 when the
    run failed.
    """
    wanted = one_run(position, run_id)

    async def work() -> str:
        async with open_fleet(options, pods_of(pod), about=[wanted]) as fleet:
            run = find_run(fleet, wanted)
            await _refuse_what_is_no_service(fleet, run)
        teller = _Teller(run, options.json)
        # Connections have numbers of the client's choice: they need a link of their own, and to this pod alone.
        async with (
            open_fleet(options.alone(), [run.pod]) as fleet,
            fleet.forward(run.pod, run.run_id, project=run.project, trouble=teller.trouble) as way,
        ):
            return await _Forwarding(fleet, run, way, teller, port).until_the_end()

    with until_ctrl_c():
        return int(run_async(work()) in ("failed", "lost"))


async def _refuse_what_is_no_service(fleet: Fleet, run: RunSnapshot) -> None:
    if run.ended:
        raise RefusedActionError(f"run {run.run_id} has ended: {run.state}", f"see `ops run status {run.run_id}`")
    spec = (await fleet.run_records(run.pod, run.run_id, project=run.project)).get("spec")
    if not isinstance(spec, dict) or not spec.get("service"):
        raise UsageError(f"run {run.run_id} is no service", "only presets with `service:` and `vllm_serve` have a port")


class _Teller:
    """Says what happens: for a person on standard error, as lines of JSON on standard output."""

    def __init__(self, run: RunSnapshot, as_json: bool) -> None:
        self._run = run
        self._json = as_json
        self._last: dict[str, float] = {}

    def tell(self, event: str, text: str, **facts: Any) -> None:
        if self._json:
            click.echo(json_text({"event": event, "run_id": self._run.run_id, "pod": self._run.pod, **facts}))
        elif event == "listening":
            click.echo(text)
        else:
            say(text)

    def trouble(self, text: str) -> None:
        """A connection that failed; many do so at once when a service ends."""
        now = time.monotonic()
        if now - self._last.get(text, -_TELL_AGAIN_S) >= _TELL_AGAIN_S:
            self._last = {text: now}
            self.tell("connection_failed", f"a connection failed: {text}", reason=text)


class _Forwarding:
    """Follows pod and run, and opens the port once the service is ready."""

    def __init__(self, fleet: Fleet, run: RunSnapshot, way: PortForward, teller: _Teller, port: int | None) -> None:
        self._fleet = fleet
        self._run = run
        self._way = way
        self._teller = teller
        self._wanted = port
        self._listening = False
        self._told_run = self._told_pod = ""

    async def until_the_end(self) -> str:
        """The state in which the run ended. Raises `PodActionError` when it is gone."""
        import asyncio

        changed = asyncio.Event()
        stop: Callable[[], None] = self._fleet.subscribe(lambda _: changed.set())
        try:
            while True:
                changed.clear()
                pod = self._fleet.snapshot.pods[self._run.pod]
                self._tell_pod(pod)
                run = pod.runs.get(self._run.run_id)
                if run is None and pod.state == "live" and pod.listed:
                    raise PodActionError(f"run {self._run.run_id} is gone from pod {pod.name}", "was it deleted?")
                self._run = run or self._run
                if await self._is_over(self._run):
                    return self._run.state
                await changed.wait()
        finally:
            stop()

    async def _is_over(self, run: RunSnapshot) -> bool:
        if run.ended or run.state == "lost":
            reason = f" ({run.reason})" if run.reason and run.reason != "ok" else ""
            self._teller.tell("ended", f"{run.run_id}  {run.state}{reason}", state=run.state, reason=run.reason)
            return True
        if run.phase == "ready" and not self._listening:
            await self._open(run)
        self._tell_run(run)
        return False

    async def _open(self, run: RunSnapshot) -> None:
        endpoint = endpoint_view(run.endpoint)
        remote = endpoint["port"] if endpoint else 0
        try:
            port = await self._way.listen(remote if self._wanted is None else self._wanted)
        except OSError as error:
            if self._wanted is not None:
                told = f"port {self._wanted} of this machine cannot be opened: {error.strerror or error}"
                raise RefusedActionError(told, "choose another --port, or 0 for any that is free") from None
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            port = await self._way.listen(0)
        self._listening = True
        url = f"http://127.0.0.1:{port}"
        text = f"{url} is port {remote} of run {run.run_id} on {run.pod}"
        self._teller.tell("listening", text, host="127.0.0.1", port=port, url=url, remote_port=remote)
        self._told_run = "ready"

    def _tell_run(self, run: RunSnapshot) -> None:
        phase = run.phase or run.state
        if phase == self._told_run:
            return
        self._told_run = phase
        detail = f": {run.detail}" if run.detail else ""
        waiting = "" if self._listening else "; waiting until it is ready"
        facts = {"state": run.state, "phase": run.phase, "attempt": run.attempt, "detail": run.detail}
        self._teller.tell("run", f"{run.run_id} is {phase}{detail}{waiting}", **facts)

    def _tell_pod(self, pod: PodSnapshot) -> None:
        state = "live" if pod.state in ("live", "stale") else "away"
        if state == (self._told_pod or "live"):
            return
        self._told_pod = state
        if state == "live":
            self._teller.tell("link", f"pod {pod.name} is back", state=pod.state)
        else:
            text = f"pod {pod.name} cannot be reached: {pod.reason or pod.state}; trying again"
            self._teller.tell("link", text, state=pod.state, reason=pod.reason)
