"""Every pod's link at once, and the one place that holds what is known about them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from podops.config.model import PodConfig, PresetConfig, ProjectConfig
from podops.config.reader import nearest
from podops.errors import NotFoundError
from podops.fleet import wire
from podops.fleet.asking import Asking
from podops.fleet.attention import Attention, paces
from podops.fleet.hello import who
from podops.fleet.memory import Memory, RecalledLog
from podops.fleet.noting import Noting
from podops.fleet.pacing import Gate
from podops.fleet.pod_link import PodLink
from podops.fleet.port_forward import PortForward
from podops.fleet.roster import Roster
from podops.fleet.run_files import RunFiles
from podops.fleet.snapshot import FleetSnapshot
from podops.fleet.way import Sharer
from podops.link.client import LinkClient
from podops.link.local_changes import watch_clocks, watch_network
from podops.transport.base import Transport
from podops.transport.choose import transport_for

if TYPE_CHECKING:
    from podops.fleet.source_watch import SourceWatch
    from podops.plan import SubmitPlan

#: So many pods are connected to at the same time: the first ones shall be there before the last ones have begun.
CONNECTS_AT_ONCE = 20

#: How long a pod may take to start a run, seconds; a slow volume is common.
SUBMIT_S = 60.0

#: How long a pod may take to look at everything its project counts on, seconds.
CHECK_S = 60.0

#: How long leaving a fleet may take, seconds.
_LEAVE_S = 1.8

#: A task that has not ended is cancelled again after so long, seconds.
_CANCEL_AGAIN_S = 0.7

#: Samples of many pods are told together, so often at most, seconds.
_SAMPLES_S = 0.05

Callback = Callable[[frozenset[str]], None]


class Fleet(RunFiles):
    """`async with Fleet(config) as fleet:` connects to every pod in parallel; leaving closes every link.

    Actions raise `PodopsError`s; one pod's failure never touches another.
    """

    def __init__(
        self,
        config: ProjectConfig,
        *,
        pods: Sequence[str] | None = None,
        connect_timeout: float = 15.0,
        answer_timeout: float | None = None,
        memory: Memory | None = None,
        sharer: Sharer | None = None,
        choose: Callable[[PodConfig], Transport] = transport_for,
        source_age: float = 0.0,
    ) -> None:
        """`pods` limits the fleet to these names. Raises `NotFoundError` for one the config does not have.

        `answer_timeout`, in seconds, is how long somebody waits for one answer, also that of a pod source, and for a
        sign of life on a broken link; without it, as long as each kind of request may take. `memory` is told everything
        the pods tell. Links that `sharer` has are used before others are made, by the transports that `choose` gives.
        What a pod source said less than `source_age` seconds ago is not asked again.
        """
        names = list(config.pods) if pods is None else list(dict.fromkeys(pods))
        for name in names:
            if name not in config.pods:
                raise _no_pod(name, config)
        gate = Gate(CONNECTS_AT_ONCE)
        self._config = config
        self._answer_timeout = math.inf if answer_timeout is None else answer_timeout
        asking = Asking(self.link, answer_timeout)
        self._ask, self._change, self._patience = asking.ask, asking.change, asking.patience
        self._roster = Roster(
            [config.pods[name] for name in names],
            lambda pod: PodLink(config, pod, self._pod_changed, gate, connect_timeout, answer_timeout, sharer, choose),
        )
        self._noting = Noting(memory, self._roster.links)
        self._sources: SourceWatch | None = None
        if pods is None and config.pod_sources:
            # Here, as whoever has no sources shall not wait for what asks them.
            from podops.fleet.source_watch import SourceWatch

            self._sources = SourceWatch(config, self._sources_told, source_age)
        self._left_out: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._callbacks: list[Callback] = []
        self._changed: set[str] = set()
        self._telling: asyncio.TimerHandle | None = None
        self._told_at = -math.inf
        self._snapshot: FleetSnapshot | None = None

    async def __aenter__(self) -> Fleet:
        self._roster.begin()
        if self._sources is not None:
            self._sources_told()
            self._tasks.append(asyncio.create_task(self._sources.run(), name="podops-sources"))
        self._tasks.append(asyncio.create_task(watch_clocks(self._slept, self._clock_set), name="podops-clocks"))
        self._tasks.append(asyncio.create_task(watch_network(self._network_changed), name="podops-network"))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._callbacks.clear()
        # Before Python 3.12 `asyncio.wait_for`, on which asyncssh rests, can swallow a cancellation that comes together
        # with its result; so one that had no effect is sent again.
        deadline = time.monotonic() + _LEAVE_S
        left = {*self._tasks, *self._roster.tasks()}
        while left and time.monotonic() < deadline:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
        self._tasks.clear()

    @property
    def config(self) -> ProjectConfig:
        """The project, with the pods that its sources tell of now."""
        return self._config

    def use_presets(self, presets: Mapping[str, PresetConfig]) -> None:
        """Those of a project file that has changed."""
        self._config = replace(self._config, presets=dict(presets))

    @property
    def snapshot(self) -> FleetSnapshot:
        if self._snapshot is None:
            pods = {name: link.snapshot for name, link in self._links.items()}
            self._snapshot = FleetSnapshot(pods, self._sources.states(self._left_out) if self._sources else ())
        return self._snapshot

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call `callback(names of changed pods)` in the event loop after changes; returns the way to stop.

        No name at all: a pod source has something to tell.

        Changes made in the same turn of the loop come in one call; samples alone come twenty times a second at most.
        """
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait for `condition`, which is looked at after each change; whether it held `within` so many seconds."""
        changed = asyncio.Event()
        stop = self.subscribe(lambda _names: changed.set())
        try:
            async with asyncio.timeout(within):
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return False
        finally:
            stop()
        return True

    async def settled(self, timeout: float) -> None:  # noqa: ASYNC109
        """Return when each pod is live (with its full run list) or has failed once; `timeout` in seconds."""
        deadline = time.monotonic() + timeout
        if self._sources is not None:
            # Pods they tell of begin to connect at once, beside the others.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(timeout, self._answer_timeout)):
                    await self._sources.settled.wait()
        waits = [asyncio.ensure_future(link.known.settled.wait()) for link in self._links.values()]
        if not waits:
            return
        try:
            await asyncio.wait(waits, timeout=max(0.0, deadline - time.monotonic()))
        finally:
            for wait in waits:
                wait.cancel()

    def unsettled(self) -> list[str]:
        """The pods that `settled` waits for."""
        return [name for name, link in self._links.items() if not link.known.settled.is_set()]

    def waits_for_a_person(self) -> bool:
        """Whether a pod cannot be live before somebody has done something, such as to touch a security key."""
        return any(link.waits_for_a_person for link in self._links.values())

    async def recall(self) -> None:
        """Show of each pod that has not told its runs yet what the memory has of it."""
        await self._noting.recall()

    async def recall_log(self, pod: str, run_id: str, *, project: str = "") -> RecalledLog | None:
        """The end of a run's log as the memory has it."""
        return await self._noting.recall_log(pod, self._project(project), run_id)

    def attend(self, in_view: Collection[str], attention: Attention) -> None:
        """Say which pods somebody looks at, and how: the others are asked to tell what is new less often."""
        for name, pace in paces(self._links, in_view, attention):
            self._links[name].pace(pace)

    def retry(self, pod: str) -> None:
        """Connect now instead of waiting for the back-off."""
        self.link(pod).retry()

    async def submit(self, plan: SubmitPlan, *, force: bool = False, request_id: str = "") -> dict[str, Any]:
        """The pod's answer to `submit`. A lost answer is not a lost run: what is sent again is not done again.

        `request_id` is for who may have sent it before, in another process.
        """
        known = {"request_id": request_id} if request_id else {}
        what = f"run {plan.run_id}, which may have started"
        hint = f"look with `ops run status {plan.run_id}` before you submit again"
        return await self._change(plan.pod, "submit", what, hint, SUBMIT_S, spec=plan.spec, force=force, **known)

    async def kill(self, pod: str, run_id: str, *, project: str = "", grace_s: float | None = None) -> dict[str, Any]:
        """The pod's answer to `kill`: the request is on disk, the run ends on its own time."""
        fields: dict[str, Any] = {"run_id": run_id, "project": self._project(project), "by": who()}
        if grace_s is not None:
            fields["grace_s"] = grace_s
        return await self._change(pod, "kill", f"the end of run {run_id}", "ask again: it does no harm", **fields)

    async def check(self, pod: str, **expected: Any) -> tuple[dict[str, Any], float, float]:
        """The pod's answer to `check`, and when it was asked and came back, by this machine's clock."""
        await self._client(pod)
        asked = time.time()
        answer = await self._ask(pod, "check", CHECK_S, **expected)
        return answer.header, asked, time.time()

    async def fix(self, pod: str, name: str, **fields: Any) -> str:
        """Do what a finding of `check` offers; what was done, in words."""
        client = await self._client(pod)
        return wire.text((await client.request("fix", within=CHECK_S, fix=name, **fields)).header.get("message"), 1000)

    async def queue(
        self, pod: str, run_id: str, action: str, *, project: str = "", value: object = None
    ) -> dict[str, Any]:
        """The pod's answer to `queue`: hold, release, cancel, priority, move, stay or take, on a run that waits."""
        fields: dict[str, Any] = {"run_id": run_id, "project": self._project(project), "action": action, "by": who()}
        what = f"`{action}` of run {run_id}"
        return await self._change(pod, "queue", what, "look with `ops queue list`", value=value, **fields)

    async def run_records(self, pod: str, run_id: str, *, project: str = "") -> dict[str, Any]:
        """The pod's answer to `run`."""
        answer = await self._ask(pod, "run", run_id=run_id, project=self._project(project))
        self._noting.records(pod, self._project(project), run_id, answer.header)
        return answer.header

    def forward(self, pod: str, run_id: str, *, project: str = "", trouble: Callable[[str], None]) -> PortForward:
        """A way from this machine to the run's service: `async with fleet.forward(…) as way: await way.listen(port)`.

        `trouble` hears why a connection was refused.
        """
        return PortForward(self.link(pod), run_id, self._project(project), trouble)

    def _project(self, project: str) -> str:
        return project or self._config.name

    def link(self, pod: str) -> PodLink:
        """The link of one pod. Raises `NotFoundError`."""
        if pod not in self._links:
            raise _no_pod(pod, self._config)
        return self._links[pod]

    async def _client(self, pod: str) -> LinkClient:
        return await self.link(pod).client()

    def _slept(self, seconds: float) -> None:
        for link in self._links.values():
            link.slept(seconds)

    def _clock_set(self, by: float) -> None:
        for link in self._links.values():
            link.known.clock_set(by)

    def _network_changed(self) -> None:
        for link in self._links.values():
            link.network_changed()

    @property
    def _links(self) -> dict[str, PodLink]:
        return self._roster.links

    def _sources_told(self) -> None:
        """Follow what the sources say now. A pod that has come or gone is told of like any other change."""
        if self._sources is None:
            return
        before = set(self._links)
        from podops.sources.answers import with_pods

        self._config, self._left_out = with_pods(self._config, self._sources.answers)
        self._roster.follow(dict(self._config.pods))
        self._changed_now(before ^ set(self._links))

    def _pod_changed(self, name: str, sample: bool) -> None:
        self._changed_now({name}, only_samples=sample)

    def _changed_now(self, names: set[str], *, only_samples: bool = False) -> None:
        self._snapshot = None
        self._changed |= names
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._told_at + _SAMPLES_S) if only_samples else loop.time()
        if self._telling is None or self._telling.when() > at:
            if self._telling is not None:
                self._telling.cancel()
            self._telling = loop.call_at(at, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._told_at = asyncio.get_running_loop().time()
        names = frozenset(self._changed)
        self._changed.clear()
        self._noting.pods(names)
        for callback in list(self._callbacks):
            callback(names)


def _no_pod(name: str, config: ProjectConfig) -> NotFoundError:
    hint = nearest(name, config.pods) if config.pods else "add one under `pods:` in the project file"
    return NotFoundError(f"there is no pod {name!r}", hint)
