"""Whether a run would start at once on a pod, from what the pod last said; the pod itself has the last word."""

from __future__ import annotations

import time
from typing import Any

from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops.plan import SubmitPlan
from podops_runners.order import Gpus, Want, decide


def why_waiting(plan: SubmitPlan, pod: PodSnapshot, busy_memory_bytes: int) -> str:
    """What `plan` would wait for on `pod`, in words; empty when it would start at once."""
    place = plan.spec.get("queue") or {}
    if place.get("hold"):
        return "held until it is released"
    moment = max(float(place.get("not_before") or 0.0), time.time() + float(place.get("delay_s") or 0.0))
    if moment > time.time() + 1:
        return "not before " + time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
    for name in (*place.get("after", ()), *place.get("after_any", ())):
        parent = pod.runs.get(name)
        if parent is not None and not parent.ended:
            return f"waits for run {name} ({parent.state})"
    return _gpus(plan, pod, int(place.get("priority") or 0), busy_memory_bytes)


def _gpus(plan: SubmitPlan, pod: PodSnapshot, priority: int, busy_memory_bytes: int) -> str:
    ready = [
        run for run in pod.runs.values() if run.state == "queued" and run.detail.startswith("waits for ") and run.owned
    ]
    ahead = [run for run in ready if run.asked_gpus and run.priority >= priority]
    ahead.sort(key=lambda run: (-run.priority, run.place))
    wants = [_want(run) for run in ahead] + [_asked(plan.run_id, plan.spec.get("gpus"))]
    return decide(wants, _seen(pod, busy_memory_bytes))[-1].why


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
