"""The links of a fleet whose pods come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from podops.config.model import PodConfig
from podops.fleet.pod_link import PodLink

#: What may change in a pod while its link goes on.
_SHOWN = {"tags": (), "price_per_hour": None, "gone_since": None}


class Roster:
    """One link for each pod, and the task that runs it once `begin` was called."""

    def __init__(self, pods: Iterable[PodConfig], make: Callable[[PodConfig], PodLink]) -> None:
        self._make = make
        self._begun = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: Tasks of links that were given up; they may still have something to close.
        self._ending: set[asyncio.Task[None]] = set()
        self.links: dict[str, PodLink] = {}
        for pod in pods:
            self._add(pod)

    def begin(self) -> None:
        """Run every link; to be called in a running event loop."""
        self._begun = True
        for name in self.links:
            self._run(name)

    def tasks(self) -> list[asyncio.Task[None]]:
        return [*self._tasks.values(), *self._ending]

    def follow(self, pods: dict[str, PodConfig]) -> None:
        """Have a link for each of `pods`: new ones begin, changed ones begin anew, gone ones end and are kept."""
        for name in [name for name in self.links if name not in pods]:
            self._end(name)
            del self.links[name]
        for name, pod in pods.items():
            link = self.links.get(name)
            if link is None:
                self._add(pod)
            elif pod != link.pod:
                self._change(link, pod)

    def _change(self, link: PodLink, pod: PodConfig) -> None:
        same_way = replace(pod, **_SHOWN) == replace(link.pod, **_SHOWN)  # type: ignore[arg-type]
        if pod.gone_since is not None:
            self._end(pod.name)
            link.leave(pod)
        elif same_way and link.pod.gone_since is None:
            link.show(pod)
        else:
            self._end(pod.name)
            self._add(pod)
            self.links[pod.name].known.inherit(link.snapshot)

    def _add(self, pod: PodConfig) -> None:
        self.links[pod.name] = self._make(pod)
        if self._begun:
            self._run(pod.name)

    def _run(self, name: str) -> None:
        link = self.links[name]
        if link.pod.gone_since is None:
            self._tasks[name] = asyncio.create_task(link.run(), name=f"podops-pod-{name}")

    def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
