"""What a pod is asked for, by how closely somebody looks at it."""

from __future__ import annotations

from podops.fleet.attention import Pace, paces

NAMES = [f"pod-{number}" for number in range(5)]


def test_pods_in_view_are_live_and_the_others_tell_less() -> None:
    asked = dict(paces(NAMES, {"pod-1"}, "looking"))
    assert asked["pod-1"] == Pace(1.0, 0.5)
    assert {asked[name] for name in NAMES if name != "pod-1"} == {Pace(5.0, 2.0)}


def test_a_terminal_nobody_looks_at_is_told_little_whatever_is_on_it() -> None:
    beside, away = (dict(paces(NAMES, {"pod-1"}, how))["pod-1"] for how in ("beside", "away"))
    assert Pace().sample_interval_s < beside.sample_interval_s < away.sample_interval_s == 10.0


def test_pods_out_of_view_together_cost_the_same_however_many_they_are() -> None:
    samples, runs = [], []
    for count in (200, 1000, 2400):
        asked = [pace for _, pace in paces(map(str, range(count)), {"0"}, "looking")][1:]
        samples.append(sum(1 / pace.sample_interval_s for pace in asked))
        runs.append(sum(1 / pace.runs_interval_s for pace in asked))
    assert max(samples) < 40.1 and max(runs) < 40.1
    slowest = max(pace.sample_interval_s for _, pace in paces(map(str, range(50_000)), (), "looking"))
    assert slowest == 60.0
