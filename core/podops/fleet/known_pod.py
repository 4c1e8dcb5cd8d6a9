"""What is known of one pod: what its links have told, what was remembered before, and how long ago that was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from podops.config.model import PodConfig
from podops.errors import PodopsError
from podops.fleet import wire
from podops.fleet.memory import Recalled
from podops.fleet.run_list import RunList
from podops.fleet.snapshot import PodSnapshot, PodState

#: Moments of a snapshot that are Unix times, and how far from now one can be that was told just now, seconds.
_MOMENTS = {"since": 3.0, "last_seen": 3.0, "as_of": 3.0, "retry_at": 120.0}

#: What of a snapshot a sample changes.
_SAMPLE_FIELDS = {"sample", "gpus", "last_seen", "latency_s"}


class KnownPod:
    """Makes a `snapshot` of each thing that is told, and tells of it.

    `changed` is called after each change with the pod's name, and with whether all that is new is a sample.
    """

    def __init__(self, pod: PodConfig, changed: Callable[[str, bool], None]) -> None:
        self._changed = changed
        self._runs = RunList(pod.name)
        #: What the pod side complains of, other than its list of runs.
        self._problem = ""
        # Whether the link that is there has greeted.
        self._greeted = False
        self._state_changed = asyncio.Event()
        #: Set once the pod is live with its full run list, or has failed for the first time.
        self.settled = asyncio.Event()
        self.snapshot = PodSnapshot(
            name=pod.name,
            state="connecting",
            transport=pod.transport,
            address=pod.address,
            since=time.time(),
            tags=pod.tags,
            price_per_hour=pod.price_per_hour,
            source=pod.source,
        )
        if pod.gone_since is not None:
            self._be_gone(pod)

    @property
    def complete(self) -> bool:
        """Whether this link has told every run."""
        return self._runs.complete

    async def state_change(self) -> None:
        """Wait for the next change of state, or the next failure."""
        await self._state_changed.wait()

    def recall(self, known: Recalled) -> None:
        """Show what was known of the pod before, until it tells its runs itself."""
        if not self.snapshot.listed:
            self.set(**known.fills(self.snapshot))

    def clock_set(self, by: float) -> None:
        """Somebody has set this machine's clock, by so many seconds: ages stay as they are."""
        now, told = time.time(), {name: getattr(self.snapshot, name) for name in _MOMENTS}
        # What is of this very moment by the clock as it is now was told by it.
        self.set(**{name: at + by for name, at in told.items() if at and abs(at - now) > _MOMENTS[name]})

    def inherit(self, before: PodSnapshot) -> None:
        """What was known of the pod by another way stays known until it says something else by this one."""
        new = self.snapshot
        self.snapshot = replace(
            before,
            state="connecting",
            since=new.since,
            reason="",
            hint="",
            retry_at=None,
            transport=new.transport,
            address=new.address,
            tags=new.tags,
            price_per_hour=new.price_per_hour,
        )

    def leave(self, pod: PodConfig) -> None:
        """Its source tells of it no more; what is known of it stays."""
        self._be_gone(pod)
        self._changed(pod.name, False)

    def _be_gone(self, pod: PodConfig) -> None:
        since, why = pod.gone_since or time.time(), f"{pod.source} tells of it no more"
        self.snapshot = replace(
            self.snapshot, state="gone", since=since, reason=why, hint="", retry_at=None, latency_s=None
        )
        self._tell_state()
        self.settled.set()

    def lose(self) -> None:
        """Its link is lost."""
        self._greeted = False
        self._runs.lose()
        self.set(unlisted="")

    def fail(self, state: PodState, error: PodopsError, retry_at: float | None) -> None:
        """There is no link, for this reason."""
        # Whoever shows the reason names the pod already.
        reason = error.message.removeprefix(f"pod {self.snapshot.name}: ")
        self.set(state=state, reason=reason, hint=error.hint, retry_at=retry_at, latency_s=None)
        self._tell_state()
        self.settled.set()

    def take_hello(self, answer: Mapping[str, Any]) -> None:
        """A link is there, and the pod has greeted."""
        projects = (wire.mapping(project) for project in wire.items(answer.get("projects")))
        problems = (wire.text(project.get("problem")) for project in projects)
        self._problem = next((problem for problem in problems if problem), "")
        self._greeted = True
        self.set(host=wire.host_info(answer.get("host")))
        self.go_live()

    def go_live(self) -> None:
        """It is there, and not silent."""
        self.set(state="live", reason=self.snapshot.unlisted or self._problem, hint="", retry_at=None)
        self._settle()

    def take_push(self, kind: Any, push: Mapping[str, Any], latency_s: float | None) -> None:
        """What the pod says by itself."""
        now = time.time()
        if kind == "sample":
            sample, gpus = wire.host_sample(push.get("host")), wire.gpu_report(push.get("gpus"))
            self.set(sample=sample, gpus=gpus, last_seen=now, latency_s=latency_s)
        elif kind == "runs":
            self._take_runs(push, now)
        elif kind == "problem":
            self._take_problem(push)
        if self.snapshot.state == "stale":
            self.go_live()

    def _take_problem(self, push: Mapping[str, Any]) -> None:
        message = wire.text(push.get("message"))
        if push.get("about") == "runs":
            self.set(unlisted=message)
        else:
            self._problem = message
        self.set(reason=message or self._problem)

    def _take_runs(self, push: Mapping[str, Any], now: float) -> None:
        runs = self._runs.take(push, self.snapshot.runs)
        if runs is not None:
            listed = self.snapshot.listed or self._runs.complete
            as_of = None if listed else self.snapshot.as_of
            self.set(runs=runs, listed=listed, as_of=as_of, last_seen=now)
            self._settle()

    def _settle(self) -> None:
        # A pod's first pushes may come before its answer to hello.
        if self._greeted and self.snapshot.listed:
            self.settled.set()

    def set(self, **fields: Any) -> None:
        """Change these fields of the snapshot."""
        new_state = fields.get("state", self.snapshot.state) != self.snapshot.state
        if new_state:
            fields["since"] = time.time()
        self.snapshot = replace(self.snapshot, **fields)
        if new_state:
            self._tell_state()
        self._changed(self.snapshot.name, fields.keys() == _SAMPLE_FIELDS)

    def _tell_state(self) -> None:
        self._state_changed.set()
        self._state_changed = asyncio.Event()
