"""Whether a run would start at once on a pod, from what the pod last said; the pod itself has the last word."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Literal

from podops.fleet.snapshot import GpuReport, PodSnapshot, RunSnapshot
from podops.plan import SubmitPlan
from podops_runners.order import Gpus, Want, decide


@dataclass(frozen=True, slots=True)
class Forecast:
    """`now`, `wait` or `refused`, and why."""

    verdict: Literal["now", "wait", "refused"]
    why: str = ""


def forecast(plan: SubmitPlan, pod: PodSnapshot, busy_memory_bytes: int) -> Forecast:
    """What would become of `plan` on `pod`, which is live."""
    if why := lacking(plan, pod.gpus):
        return Forecast("refused", why)
    wanted = _asked(plan.run_id, plan.spec.get("gpus"))
    gpus = _seen(pod, busy_memory_bytes)
    place = plan.spec.get("queue") or {}
    if place.get("hold"):
        return Forecast("wait", "held until it is released")
    now = time.time()
    moment = max(float(place.get("not_before") or 0.0), now + float(place.get("delay_s") or 0.0))
    if moment > now:
        return Forecast("wait", "not before " + time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)))
    for name in (*place.get("after", ()), *place.get("after_any", ())):
        parent = pod.runs.get(name)
        if parent is not None and not parent.ended:
            return Forecast("wait", f"waits for run {name}, which is {parent.state}")
    ahead = _ahead(pod, int(place.get("priority") or 0))
    decision = decide([*map(_want, ahead), wanted], gpus)[-1]
    return Forecast("now") if decision.gpus is not None else Forecast("wait", decision.why)


def lacking(plan: SubmitPlan, there: GpuReport) -> str:
    """Which of the GPUs of `plan` a pod with these can never give; empty when it has them."""
    wanted = _asked(plan.run_id, plan.spec.get("gpus"))
    if wanted.number or wanted.every or wanted.indices:
        alone = decide([wanted], Gpus(frozenset(gpu.index for gpu in there.gpus)))[0]
        return alone.why if alone.gpus is None else ""
    return ""


def _ahead(pod: PodSnapshot, priority: int) -> list[RunSnapshot]:
    """The runs that wait for GPUs and go before one of `priority` that comes now, in their order."""
    waiting = [run for run in pod.runs.values() if run.state == "queued" and run.owned and run.asked_gpus]
    ready = [run for run in waiting if run.priority >= priority and re.match(r"waits for (GPU|\d)", run.detail)]
    return sorted(ready, key=lambda run: (-run.priority, run.place))


def _want(run: RunSnapshot) -> Want:
    """What a waiting run asks for; a pod is not trusted, so what cannot be read asks for nothing."""
    text = run.asked_gpus
    if text == "all":
        return Want(run.run_id, every=True)
    numbers = [int(part) for part in text.split(",") if part.isdecimal()]
    if "," in text:
        return Want(run.run_id, indices=tuple(numbers))
    return Want(run.run_id, number=numbers[0] if numbers else 0)


def _asked(name: str, gpus: dict[str, Any] | None) -> Want:
    wanted = gpus or {}
    return Want(name, wanted.get("count") or 0, wanted.get("all") is True, tuple(wanted.get("indices") or ()))


def _seen(pod: PodSnapshot, busy_memory_bytes: int) -> Gpus:
    every = frozenset(gpu.index for gpu in pod.gpus.gpus)
    ours = frozenset(gpu.index for gpu in pod.gpus.gpus if gpu.claimed_by is not None)
    free = frozenset(gpu.index for gpu in pod.gpus.gpus if gpu.is_free(busy_memory_bytes))
    return Gpus(every, ours, frozenset() if pod.gpus.simulated else every - ours - free)
