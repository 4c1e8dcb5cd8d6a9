"""Which run a few letters name, and what is said when that cannot be known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from podops.cli.context import find_run, unreachable
from podops.errors import NotFoundError, UnreachableError, UsageError
from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot


@dataclass
class Seen:
    """As much of a fleet as a look at its runs needs."""

    snapshot: FleetSnapshot


def fleet(*pods: PodSnapshot) -> Any:
    return Seen(FleetSnapshot({pod.name: pod for pod in pods}))


def pod(name: str, *run_ids: str, **fields: Any) -> PodSnapshot:
    runs = {run_id: RunSnapshot(run_id=run_id, pod=name, project="p", state="running") for run_id in run_ids}
    known: dict[str, Any] = {"name": name, "state": "live", "transport": "ssh", "address": "", "listed": True}
    return PodSnapshot(**(known | fields), runs=runs)


def test_a_run_is_found_by_its_id_or_a_unique_prefix() -> None:
    seen = fleet(pod("a", "train-1", "train-12"), pod("b", "eval-1"))
    assert find_run(seen, "train-1").run_id == "train-1", "an id in full wins over what it begins"
    assert find_run(seen, "ev").pod == "b"
    with pytest.raises(UsageError, match="'tr' names 2 runs"):
        find_run(seen, "tr")
    with pytest.raises(NotFoundError):
        find_run(seen, "x")


def test_a_variable_that_is_not_set_names_no_run_also_where_there_is_only_one() -> None:
    with pytest.raises(NotFoundError):
        find_run(fleet(pod("a", "train-1")), "")


@pytest.mark.parametrize("fields", [{"state": "unreachable", "reason": "it is off"}, {"listed": False}])
def test_a_run_is_not_said_to_be_missing_while_a_pod_has_not_told_its_runs(fields: dict[str, Any]) -> None:
    seen = fleet(pod("a", "r1"), pod("b", **fields))
    assert find_run(seen, "r1").pod == "a"
    with pytest.raises(UnreachableError, match="b: it") as caught:
        find_run(seen, "r2")
    assert caught.value.exit_code == 4
    assert [(quiet.name, bool(quiet.reason)) for quiet in unreachable(seen)] == [("b", True)]


def test_a_pod_that_is_gone_is_not_named_beside_others_nor_waited_for() -> None:
    gone = pod("spot", state="gone", reason="cloud tells of it no more", listed=False)
    away = pod("devbox", state="unreachable", reason="it is off", hint="switch it on", listed=False)
    with pytest.raises(UnreachableError, match="devbox: it is off") as caught:
        find_run(fleet(pod("a", "r1"), away, gone), "r2")
    assert ("spot" in caught.value.message, caught.value.hint) == (False, "switch it on")
    with pytest.raises(NotFoundError):
        find_run(fleet(pod("a", "r1"), gone), "r2")
    assert [one.name for one in unreachable(fleet(gone))] == ["spot"]


def test_a_few_letters_are_not_beyond_doubt_while_a_pod_is_silent() -> None:
    away = pod("devbox", state="unreachable", listed=False)
    assert find_run(fleet(pod("a", "r1"), away), "r1", beyond_doubt=True).pod == "a"
    assert find_run(fleet(pod("a", "r1")), "r", beyond_doubt=True).pod == "a"
    with pytest.raises(UnreachableError, match="run of devbox too"):
        find_run(fleet(pod("a", "r1"), away), "r", beyond_doubt=True)
