"""The runs of a pod, put together from what a link pushes."""

from __future__ import annotations

from typing import Any

from podops.fleet.run_list import RunList


def push(*run_ids: str, **facts: Any) -> dict[str, Any]:
    return {"changed": [{"run_id": run_id, "state": "running"} for run_id in run_ids], "gone": [], **facts}


def test_a_list_in_pieces_is_shown_once_it_is_whole() -> None:
    runs = RunList("p")
    assert runs.take(push("a", full=True, more=True), {}) is None
    assert runs.take(push("b", more=True), {}) is None
    assert not runs.complete
    whole = runs.take(push("c"), {})
    assert whole is not None
    assert (sorted(whole), runs.complete) == (["a", "b", "c"], True)


def test_later_pushes_change_what_is_shown_and_a_new_link_begins_anew() -> None:
    runs = RunList("p")
    shown = runs.take(push("a", "b", full=True), {})
    assert shown is not None
    after = runs.take(push("c", gone=[["demo", "a"]]), shown)
    assert after is not None
    assert (sorted(after), sorted(shown)) == (["b", "c"], ["a", "b"])
    runs.lose()
    assert not runs.complete
    anew = runs.take(push("d", full=True), after)
    assert anew is not None
    assert list(anew) == ["d"]
