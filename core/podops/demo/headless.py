"""The demo without a terminal: submit, wait, tell, and say by the exit code whether each run ended as it should."""

from __future__ import annotations

import json
import sys
import time

from podops.demo.demo import Demo, wait_for
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops.plan import plan_submit

_EXPECTED = {
    "train": ("succeeded", "ok"),
    "eval": ("succeeded", "ok"),
    "crash": ("failed", "nonzero_exit"),
    "serve": ("cancelled", "user_kill"),
}


async def run_headless(demo: Demo, as_json: bool = False, overrides: tuple[str, ...] = ()) -> int:
    """0 when every run ended as it should, else 1. `overrides` (`KEY=VALUE`) go to the trainings."""
    async with Fleet(demo.config) as fleet:
        ids = await demo.first_runs(fleet, overrides)
        serve = ids["serve"][0]
        await wait_for(fleet, serve, phase="ready")
        ready = any(run.run_id == serve and run.phase == "ready" for run in fleet.snapshot.runs())
        for run_id in ids["train"] + ids["crash"]:
            await wait_for(fleet, run_id)
        evaluation = await fleet.submit(plan_submit(demo.config, "eval", "alder"))
        ids["eval"] = [str(evaluation["run_id"])]
        await wait_for(fleet, ids["eval"][0])
        await fleet.kill("cedar", serve)
        await wait_for(fleet, serve)
        ours = {run_id for group in ids.values() for run_id in group}
        runs = [run for run in fleet.snapshot.runs() if run.run_id in ours]
    ok = ready and len(runs) == len(ours) and all(_as_it_should(run) for run in runs)
    sys.stdout.write(_document(runs, ok) if as_json else _table(runs))
    return 0 if ok else 1


def _as_it_should(run: RunSnapshot) -> bool:
    return (run.state, run.reason) == _EXPECTED.get(run.preset)


def _document(runs: list[RunSnapshot], ok: bool) -> str:
    fields = ("run_id", "pod", "preset", "kind", "state", "reason", "elapsed_s")
    told = [{name: getattr(run, name) for name in fields} | {"created_at": _iso(run.created_at)} for run in runs]
    return json.dumps({"ok": ok, "runs": told}) + "\n"


def _iso(moment: float | None) -> str | None:
    return None if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _table(runs: list[RunSnapshot]) -> str:
    rows = [("POD", "RUN", "PRESET", "STATE", "REASON")]
    rows += [(run.pod, run.run_id, run.preset, run.state, run.reason or "") for run in runs]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)
