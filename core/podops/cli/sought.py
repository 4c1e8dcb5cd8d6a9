"""When a command about some runs has heard enough, though pods are still silent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from podops.fleet.find_run import is_certain, named

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import RunSnapshot
    from podops.history.history import History

#: How long others are given to tell a run of the same id, or one that begins likewise, seconds.
_SAME_S, _ALIKE_S = 0.4, 1.5


async def found(fleet: Fleet, history: History | None, texts: Sequence[str], changes: bool) -> None:
    """Return once no pod that is still silent is needed to find the runs `texts`; never, while all of them are.

    Pods that answer about as fast as the first one can still make what was typed ambiguous. A pod that is remembered
    to have such a run is waited for; so is every pod where a prefix says what to change.
    """

    def all_told() -> bool:
        told = [_told(fleet, text) for text in texts]
        return all(told) and all(run.owned for runs in told for run in runs)

    await fleet.until(all_told, math.inf)
    whole = all(is_certain(run, text) for text in texts for run in _told(fleet, text))
    if changes and not whole:
        await asyncio.Event().wait()
    await asyncio.sleep(_SAME_S if whole else _ALIKE_S)
    may_have = await asyncio.to_thread(_remembered_on, fleet, history, texts)
    await fleet.until(lambda: all_told() and not may_have.intersection(fleet.unsettled()), math.inf)


def _remembered_on(fleet: Fleet, history: History | None, texts: Sequence[str]) -> frozenset[str]:
    """The pods that had such a run when they were seen last."""
    from podops.config.identity import pod_identity

    known = [one for text in texts for one in (history.find(text) if history and text else [])]
    on = {one.identity for one in known if one.gone_at is None}
    return frozenset(name for name, pod in fleet.config.pods.items() if pod_identity(pod) in on)


def _told(fleet: Fleet, text: str) -> list[RunSnapshot]:
    """Each run once where the pod that owns it tells it, as `find_run` takes it."""
    pods = fleet.snapshot.told().pods.values()
    runs = named((run for pod in pods if pod.state == "live" for run in pod.runs.values()), text)
    owned = {(run.project, run.run_id) for run in runs if run.owned}
    return [run for run in runs if run.owned or (run.project, run.run_id) not in owned]
