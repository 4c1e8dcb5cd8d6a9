"""A pod's figures over time: by the second at first, then by the minute, then by the hour, then no more.

A sample is `{"cpu", "memory", "gpus": [[utilization, memory, temperature, power], …]}`: percent, bytes, °C and W,
`null` where not known. Times are Unix seconds of this machine. A coarser sample holds means, and weighs as many as it
stands for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from podops.fleet.snapshot import GpuReport, HostSample

if TYPE_CHECKING:
    import sqlite3

#: Seconds between samples, and how long such samples are kept, seconds.
STEPS = ((1, 600), (60, 24 * 3600), (3600, 90 * 86400))

_SECOND = STEPS[0][0]

Figures = dict[str, Any]


class Sample(NamedTuple):
    """`step` seconds from `time` on; `weight` is the number of samples in it."""

    time: int
    step: int
    weight: int
    figures: Figures


def figures_of(host: HostSample, gpus: GpuReport) -> Figures:
    cells = [
        [_round(gpu.utilization_percent), gpu.memory_used_bytes, _round(gpu.temperature_c), _round(gpu.power_w)]
        for gpu in gpus.gpus
    ]
    figures: Figures = {"cpu": _round(host.cpu_percent), "memory": host.memory_used_bytes}
    return figures | {"gpus": cells} if cells else figures


def put_samples(connection: sqlite3.Connection, samples: Iterable[tuple[int, int, Figures]]) -> None:
    """Store `(pod, time, figures)`; the first of a second counts, whichever process brings it."""
    connection.executemany(
        "INSERT OR IGNORE INTO samples (pod, step, time, weight, data) VALUES (?, ?, ?, 1, ?)",
        [(pod, _SECOND, time, json.dumps(figures, separators=(",", ":"))) for pod, time, figures in samples],
    )


def thin_out(connection: sqlite3.Connection, pod: int, now: float) -> None:
    """Make a pod's old samples coarser, and drop the oldest. Part of a transaction."""
    for (fine, kept), (coarse, _) in pairwise(STEPS):
        _merge(connection, pod, fine, coarse, int(now - kept) // coarse * coarse)
    last, kept = STEPS[-1]
    connection.execute("DELETE FROM samples WHERE pod = ? AND step = ? AND time < ?", (pod, last, int(now - kept)))


def _merge(connection: sqlite3.Connection, pod: int, fine: int, coarse: int, until: int) -> None:
    """Turn the fine samples before `until` into coarse ones."""
    groups: dict[int, list[tuple[int, Figures]]] = {}
    query = "SELECT time, weight, data FROM samples WHERE pod = ? AND step = ? AND time < ?"
    for time, weight, data in connection.execute(query, (pod, fine, until)):
        groups.setdefault(time // coarse * coarse, []).append((weight, json.loads(data)))
    for time, group in groups.items():
        # A coarse sample may be there already: another process was late with its part.
        query = "SELECT weight, data FROM samples WHERE pod = ? AND step = ? AND time = ?"
        group += [(weight, json.loads(data)) for weight, data in connection.execute(query, (pod, coarse, time))]
        connection.execute(
            "INSERT OR REPLACE INTO samples (pod, step, time, weight, data) VALUES (?, ?, ?, ?, ?)",
            (pod, coarse, time, sum(weight for weight, _ in group), json.dumps(_mean(group), separators=(",", ":"))),
        )
    connection.execute("DELETE FROM samples WHERE pod = ? AND step = ? AND time < ?", (pod, fine, until))


def read_samples(connection: sqlite3.Connection, pod: int, since: float) -> list[Sample]:
    """What is kept of a pod from `since` on, oldest first."""
    rows = connection.execute(
        "SELECT time, step, weight, data FROM samples WHERE pod = ? AND time + step > ? ORDER BY time", (pod, since)
    )
    return [Sample(time, step, weight, json.loads(data)) for time, step, weight, data in rows]


def merged(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many samples that cover the same time, oldest first."""
    if not samples:
        return []
    start, end = samples[0].time, samples[-1].time + samples[-1].step
    step = max(1, -(-(end - start) // most))
    groups: dict[int, list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.time - start) // step, []).append(sample)
    return [
        Sample(
            group[0].time,
            group[-1].time + group[-1].step - group[0].time,
            sum(sample.weight for sample in group),
            _mean([(sample.weight, sample.figures) for sample in group]),
        )
        for group in groups.values()
    ]


def _mean(group: Sequence[tuple[int, Figures]]) -> Figures:
    merged: Figures = {name: _average([(w, f.get(name)) for w, f in group]) for name in ("cpu", "memory")}
    count = max(len(f.get("gpus", ())) for _, f in group)
    if count:
        merged["gpus"] = [
            [
                _average([(w, f["gpus"][gpu][cell]) for w, f in group if len(f.get("gpus", ())) > gpu])
                for cell in range(4)
            ]
            for gpu in range(count)
        ]
    return merged


def _average(cells: Iterable[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in cells if value is not None]
    total = sum(weight for weight, _ in known)
    return _round(sum(weight * value for weight, value in known) / total) if total else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
