"""The order of all runs, kept from snapshot to snapshot, is that of sorting them anew."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from podops.fleet.run_order import RunOrder
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot


def pod(name: str, *runs: RunSnapshot) -> PodSnapshot:
    return PodSnapshot(name, "live", "ssh", name, runs={run.run_id: run for run in runs})


def run(number: int, pod: str, **fields: Any) -> RunSnapshot:
    return RunSnapshot(f"run-{number}", pod, "running", project="p", created_at=float(number), **fields)


def fleet(*pods: PodSnapshot) -> FleetSnapshot:
    return FleetSnapshot({pod.name: pod for pod in pods})


def test_a_run_with_a_new_step_stays_in_its_place_and_nothing_is_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    order = RunOrder()
    before = fleet(pod("a", run(1, "a"), run(3, "a")), pod("b", run(2, "b")))
    assert [run.run_id for run in order.runs(before)] == ["run-3", "run-2", "run-1"]
    monkeypatch.delattr(FleetSnapshot, "runs")
    runs = dict(before.pods["a"].runs)
    runs["run-1"] = replace(runs["run-1"], step=7)
    after = order.runs(fleet(replace(before.pods["a"], runs=runs), before.pods["b"]))
    assert [(run.run_id, run.step) for run in after] == [("run-3", None), ("run-2", None), ("run-1", 7)]


def changed(pod: PodSnapshot, chance: Random) -> PodSnapshot:
    """The pod after a moment in which anything may have happened to one of its runs."""
    runs = dict(pod.runs)
    number = chance.randrange(12)
    name = f"run-{number}"
    if name not in runs:
        runs[name] = run(number, pod.name, owned=chance.random() < 0.5)
    else:
        what = chance.choice(["step", "owned", "created_at", "gone", "state"])
        values: dict[str, Any] = {
            "step": number,
            "owned": chance.random() < 0.5,
            "created_at": chance.random(),
            "state": "failed",
        }
        if what == "gone":
            del runs[name]
        else:
            runs[name] = replace(runs[name], **{what: values[what]})
    return replace(pod, runs=runs)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_order_is_that_of_sorting_anew(seed: int) -> None:
    chance, order = Random(seed), RunOrder()
    pods = {name: pod(name) for name in "abc"}
    for _ in range(200):
        name = chance.choice("abc")
        if chance.random() < 0.02:
            pods = {name: pods[name] for name in sorted(pods, reverse=chance.random() < 0.5)}
        pods[name] = changed(pods[name], chance)
        if chance.random() < 0.7:
            snapshot = FleetSnapshot(dict(pods))
            assert order.runs(snapshot) == snapshot.runs()
