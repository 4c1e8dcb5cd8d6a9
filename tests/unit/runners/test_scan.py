"""The run list on the pod: whatever stands in a directory, it is listed and told, and hides no other run."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from podops.cli.run_view import run_rows, run_text
from podops.fleet import wire
from podops.fleet.outward import wire_run
from podops.fleet.snapshot import RunSnapshot
from podops_runners import machine, process, scan
from podops_runners.record_cache import RecordCache
from podops_runners.rundir import STANDARD
from podops_runners.scan import Project, Scanner
from podops_tui.format import loss


def scanner(*roots: Path) -> Scanner:
    return Scanner([Project(root.name, str(root), STANDARD) for root in roots])


def put(root: Path, run_id: str, **files: str) -> Path:
    directory = root / run_id
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(content)
    return directory


def test_a_truncated_summary_is_told_and_the_run_is_not_called_finished(tmp_path: Path) -> None:
    put(tmp_path, "cut", run_spec__json='{"preset": "p"}', summary__json='{"ok": tr')
    run = scanner(tmp_path).scan()[(tmp_path.name, "cut")]
    assert run["state"] == "lost"
    assert "summary.json is not valid JSON (truncated or edited by hand?)" in run["problems"]


def test_a_truncated_spec_is_told_as_what_it_is_and_not_as_missing(tmp_path: Path) -> None:
    put(tmp_path, "cut", run_spec__json='{"preset": "p", "ki', stdout__log="")
    put(tmp_path, "none", stdout__log="")
    found = scanner(tmp_path).scan()
    cut, none = (found[(tmp_path.name, run_id)]["problems"] for run_id in ("cut", "none"))
    assert cut == ["run_spec.json is not valid JSON (truncated or edited by hand?)"]
    assert none == ["it has no run_spec.json: made by hand, or its submit was cut off"]


def test_a_directory_made_by_hand_is_listed_with_what_it_lacks(tmp_path: Path) -> None:
    put(tmp_path, "mine", stdout__log="hello\n", summary__json='{"ok": true}')
    run = scanner(tmp_path).scan()[(tmp_path.name, "mine")]
    assert (run["state"], run["reason"], run["log_bytes"]) == ("succeeded", "ok", 6)
    assert any("run_spec.json" in problem for problem in run["problems"])


@pytest.mark.parametrize("odd", [json.dumps(10**400), "1e999", "[]", '"x"', "null", "{}", "true", "-1"])
def test_absurd_values_never_hide_the_other_runs(tmp_path: Path, odd: str) -> None:
    keys = (
        "ok",
        "state",
        "reason",
        "started",
        "ended",
        "elapsed_s",
        "last_metrics",
        "tracking",
        "started_at",
        "detail",
    )
    put(
        tmp_path,
        "odd",
        summary__json="{" + ",".join(f'"{key}": {odd}' for key in keys) + "}",
        run_spec__json="{" + ",".join(f'"{key}": {odd}' for key in ("gpus", "service", "created_at", "tags")) + "}",
        run_metadata__json=f'{{"tmux": {odd}, "attempt": {odd}, "created": {odd}}}',
        metrics__jsonl=f'{{"loss": {odd}, "step": {odd}}}\nnot json\n',
        heartbeat__txt="\x00garbage = = =",
    )
    put(tmp_path, "good", run_spec__json="{}", summary__json='{"ok": true}')
    found = scanner(tmp_path).scan()
    assert found[(tmp_path.name, "good")]["state"] == "succeeded"
    assert (tmp_path.name, "odd") in found


def test_how_far_a_run_came_is_known_after_it_has_ended(tmp_path: Path) -> None:
    put(tmp_path, "done", summary__json='{"ok": true, "last_metrics": {"step": 9, "loss": 0.3}}')
    put(tmp_path, "plain", summary__json='{"ok": true}', heartbeat__txt="2026-11-21T10:15:05Z succeeded reason=ok")
    found = scanner(tmp_path).scan()
    assert [found[(tmp_path.name, run)]["step"] for run in ("done", "plain")] == [9, None]


def test_how_many_attempts_a_run_may_make_is_known_after_it_has_ended(tmp_path: Path) -> None:
    files = {"summary__json": '{"ok": false, "state": "failed"}', "run_metadata__json": '{"attempt": 2}'}
    put(tmp_path, "retried", run_spec__json='{"policies": {"retries": {"max": 2}}}', **files)
    put(tmp_path, "old", run_spec__json="{}", **files)
    put(tmp_path, "bare", **files)
    found = {run: wire.run(told, "pod", 0.0) for (_, run), told in scanner(tmp_path).scan().items()}
    assert {run: told and (told.attempt, told.attempts_max) for run, told in found.items()} == {
        "retried": (2, 3),
        "old": (2, 1),
        "bare": (2, 1),
    }
    retried = found["retried"]
    assert retried is not None and re.search(r"^attempt +2 of 3$", run_text(retried, [], []), re.MULTILINE)


def test_a_loss_that_is_no_number_any_more_is_the_last_one_told(tmp_path: Path) -> None:
    lines = ['{"step": 1, "loss": 2.5, "lr": 0.1}', '{"step": 2, "loss": "nan"}']
    for name, told in (("ours", lines), ("theirs", [*lines[:1], '{"step": 2, "loss": NaN}'])):
        put(tmp_path, name, summary__json='{"ok": true}', metrics__jsonl="\n".join(told) + "\n")
    for found in scanner(tmp_path).scan().values():
        assert found["metrics"] == {"step": 2.0, "loss": "nan", "lr": 0.1}
        run = wire.run(json.loads(json.dumps(found, allow_nan=False)), "pod", 0.0)
        assert run is not None and run.loss is not None and math.isnan(run.loss)
        shared = wire.run(json.loads(json.dumps(wire_run(run), allow_nan=False)), "pod", 0.0)
        assert shared is not None and shared.metrics == run.metrics
        assert "loss=nan" in run_text(run, [], []) and " nan " in run_rows([run]) and loss(run) == "nan"


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"val_loss": 3.0, "train_loss": 2.0}, 2.0),
        ({"loss_scale": 65536.0, "best_loss": 1.0, "train/loss": 2.0}, 2.0),
        ({"loss": 1.0, "train_loss": 2.0}, 1.0),
        ({"val_loss": 3.0, "train_loss_step": 2.0, "train_loss_epoch": 2.5}, 2.0),
        ({"eval_loss": 3.0}, 3.0),
        ({"loss_scale": 65536.0}, None),
    ],
)
def test_the_loss_of_a_run_is_the_same_in_the_app_and_in_commands(
    metrics: dict[str, float], told: float | None
) -> None:
    run = RunSnapshot("r", "p", "running", metrics=metrics)
    assert loss(run) == ("–" if told is None else f"{told:g}")
    assert run_rows([run]).splitlines()[1].split()[7] == ("-" if told is None else f"{told:g}")


def test_a_root_that_vanishes_keeps_its_runs_and_the_other_roots_go_on(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    put(first, "a", run_spec__json="{}", summary__json='{"ok": true}')
    put(second, "b", run_spec__json="{}", summary__json='{"ok": true}')
    watched = scanner(first, second)
    watched.scan()
    first.rename(tmp_path / "gone")
    put(second, "c", run_spec__json="{}", summary__json='{"ok": true}')
    assert set(watched.scan()) == {("first", "a"), ("second", "b"), ("second", "c")}
    assert "cannot be read" in watched.problems["first"]


def test_what_changes_in_a_run_that_lives_is_seen_at_the_next_look(tmp_path: Path) -> None:
    me = process.own_identity()
    claim = {"machine_id": process.machine_id(), "boot_id": process.boot_id(), "supervisor": me, "child": me}
    run = put(tmp_path, "r", run_spec__json='{"preset": "p"}', stdout__log="", metrics__jsonl='{"step": 1}\n')
    (run / ".ops").mkdir()
    (run / ".ops/claim.json").write_text(json.dumps(claim))
    watched = scanner(tmp_path)

    def look() -> dict[str, Any]:
        return watched.scan()[(tmp_path.name, "r")]

    assert (look()["state"], look()["heartbeat_line"], look()["metrics"]) == ("running", "", {"step": 1.0})
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "loss": 0.5}\n')
    assert (look()["step"], look()["metrics"]) == (2, {"step": 2.0, "loss": 0.5})
    for step in (7, 8):  # replaced by one of the same length, maybe within one tick of the clock
        (run / "new").write_text(f"2026-11-21T10:15:05Z running step={step} total=9")
        (run / "new").replace(run / "heartbeat.txt")
        assert (look()["step"], look()["total_steps"]) == (step, 9)
    (run / "run_spec.json").write_text('{"preset": "other", "tags": ["a"]}')
    assert (look()["preset"], look()["tags"]) == ("other", ["a"])
    (run / ".ops/kill.json").write_text("{}")
    assert look()["state"] == "stopping"
    (run / "summary.json").write_text('{"ok": true, "last_metrics": {"loss": 0.1, "final": 1}}')
    assert (look()["state"], look()["metrics"]) == ("succeeded", {"loss": 0.5, "final": 1.0, "step": 2.0})


def test_the_step_is_the_newest_that_was_told_and_its_total_stays_known_to_the_end(tmp_path: Path) -> None:
    beat = "2026-11-21T10:15:05Z running step=133 total=200 part=1 epoch=1 epochs=3"
    lines = {"newer": {"step": 5, "epoch": 2}, "other": {"step": 900}, "theirs": {"step": 150}}
    lines["from_0"] = {"step": 5, "epoch": 1}
    for name, line in lines.items():
        files = {"heartbeat__txt": beat + " epoch_from=0" * (name == "from_0"), "summary__json": '{"ok": true}'}
        run = put(tmp_path, name, metrics__jsonl=json.dumps(line) + "\n", **files)
        os.utime(run / "heartbeat.txt", (1, 1))
        (run / ".ops").mkdir()
        if name != "theirs":
            (run / ".ops/scraped").write_text("")
    found = scanner(tmp_path).scan()
    runs = [found[(tmp_path.name, name)] for name in lines]
    told = [(run["step"], run["total_steps"], run["epoch"]) for run in runs]
    assert told == [(5, 200, 2), (133, 200, 1), (133, 200, 1), (5, 200, 2)]
    seen = wire.run(found[(tmp_path.name, "newer")], "pod", 0.0)
    assert seen is not None and seen.share == pytest.approx((1 + 5 / 200) / 3)


def test_a_run_whose_processes_have_gone_is_lost_whichever_of_them_lived_last(tmp_path: Path) -> None:
    gone, me = {"pid": 2**22 + 1, "start_ticks": 1, "boot_id": process.boot_id()}, process.own_identity()
    run = put(tmp_path, "r", run_spec__json="{}")
    (run / ".ops").mkdir()

    def state(supervisor: object, child: object, shim: object) -> object:
        claim = {"machine_id": process.machine_id(), "boot_id": process.boot_id()}
        (run / ".ops/claim.json").write_text(json.dumps(dict(claim, supervisor=supervisor, child=child)))
        (run / ".ops/child.json").write_text(json.dumps({"shim": shim}))
        os.utime(run / ".ops/claim.json", (1, 1))  # too long ago for anybody to be on the way
        return scanner(tmp_path).scan()[(tmp_path.name, "r")]["state"]

    assert [state(me, gone, gone), state(gone, me, gone), state(gone, gone, me)] == ["running"] * 3
    assert state(gone, gone, gone) == "lost"


def test_a_directory_that_is_no_run_any_more_is_listed_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_RECHECK_S", 0.0)
    run = put(tmp_path, "r", summary__json='{"ok": true}')
    watched = scanner(tmp_path)
    assert [one["state"] for one in watched.scan().values()] == ["succeeded"]
    (run / "summary.json").unlink()
    assert watched.scan() == {}


def test_a_run_that_was_submitted_anew_through_another_link_is_seen_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODOPS_STATE_DIR", str(tmp_path / "machine"))
    root = tmp_path / "runs"
    for run_id in ("rested", "fresh"):
        put(root, run_id, run_spec__json='{"preset": "old"}', summary__json='{"ok": true}')
    os.utime(root / "rested", (1, 1))
    watched = scanner(root)
    assert {one["state"] for one in watched.scan().values()} == {"succeeded"}
    for run_id in ("rested", "fresh"):
        (root / run_id / "summary.json").rename(root / run_id / "summary.json.bak")
        (root / run_id / "run_spec.json").write_text('{"preset": "new"}')
    machine.wake_agent()
    seen = watched.scan().values()
    assert [(one["preset"], one["state"] == "succeeded") for one in seen] == [("new", False)] * 2


def test_of_runs_that_were_deleted_nothing_is_kept_in_memory(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path, f"r{number}", run_spec__json="{}", summary__json='{"ok": true}', command__sh="x")
    cache = RecordCache()

    def read() -> None:
        for file in tmp_path.rglob("*.json"):
            cache.read(str(file))

    read()
    cache.forget_the_rest()
    read()
    assert cache.size == 40
    for number in range(1, 20):
        shutil.rmtree(tmp_path / f"r{number}")
    for _ in range(2):
        cache.forget_the_rest()
        read()
    assert cache.size == 2
