"""From snapshots to what a pod sends: the way back from `wire`, for those that share a link."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from podops.fleet.snapshot import PodSnapshot, RunSnapshot
from podops_runners.metric_value import json_safe

#: Most runs in one push.
_PIECE = 1000

#: Grow by themselves, or shrink, since they were received.
_AGES = {"elapsed_s": 1, "heartbeat_age_s": 1, "log_age_s": 1, "waits_s": 1, "retry_in_s": -1, "left_s": -1}


def wire_run(run: RunSnapshot) -> dict[str, Any]:
    """A run as its pod would tell it now."""
    fields = asdict(run)
    passed = max(0.0, time.monotonic() - run.received_at)
    for name, sign in _AGES.items():
        if fields[name] is not None and not (name == "elapsed_s" and run.ended):
            fields[name] = max(0.0, fields[name] + sign * passed)
    fields["metrics"] = json_safe(fields["metrics"])
    del fields["pod"], fields["received_at"]
    return fields


def wire_hello(pod: PodSnapshot) -> dict[str, Any]:
    """What a pod's answer to `hello` tells of it."""
    return {"host": asdict(pod.host), "projects": [{"problem": None if pod.unlisted else pod.reason or None}]}


def wire_sample(pod: PodSnapshot) -> dict[str, Any] | None:
    """Its last sample as a push; `None` while there is none."""
    if pod.sample is None:
        return None
    return {"push": "sample", "host": asdict(pod.sample), "gpus": asdict(pod.gpus)}


def wire_runs(runs: Mapping[str, RunSnapshot], sent: Mapping[str, RunSnapshot] | None) -> list[dict[str, Any]]:
    """What has changed since `sent` as pushes, everything when that is `None`."""
    before = sent or {}
    changed = [wire_run(run) for run_id, run in runs.items() if run is not before.get(run_id)]
    gone = [[run.project, run_id] for run_id, run in before.items() if run_id not in runs]
    if sent is not None and not changed and not gone:
        return []
    # In pieces: a frame has a limit, the number of runs has none.
    pieces = [changed[start : start + _PIECE] for start in range(0, len(changed), _PIECE)] or [[]]
    first = {"push": "runs", "full": sent is None, "changed": pieces[0], "gone": gone}
    frames = [first, *({"push": "runs", "full": False, "changed": piece, "gone": []} for piece in pieces[1:])]
    return [*(frame | {"more": True} for frame in frames[:-1]), frames[-1]]
