"""What `summary.json` tells of a run that a supervisor has brought to its end."""

from podops_runners import end_facts, last_metrics, records, states
from podops_runners.attempt import Ended
from podops_runners.rundir import RunDir
from podops_runners.runfiles import iso
from podops_runners.typed import Any, Dict
from podops_runners.verdict import Verdict


def summary(
    run: RunDir,
    spec: Dict[str, Any],
    verdict: Verdict,
    ended: Ended,
    output: Dict[str, Any],
    *,
    attempts: int,
    started: float,
    elapsed_s: float,
) -> Dict[str, Any]:
    """The record; `output` has what was read from the log: `last_metrics`, whether the metrics file holds nothing else
    (`scraped`), `wandb` (the address of its run there)."""
    code, number = end_facts.outcome(ended.status)
    wandb = output.get("wandb")
    metadata, _ = records.read_record(run.metadata)
    return {
        "run_id": run.run_id,
        "ok": verdict.state == states.SUCCEEDED,
        "state": verdict.state,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "evidence": verdict.evidence,
        "traceback": verdict.traceback,
        "exit_code": code,
        "signal": number,
        "started_at": iso(started),
        "ended_at": iso(ended.ended),
        "started": round(started, 3),
        "ended": round(ended.ended, 3),
        "elapsed_s": round(max(0.0, elapsed_s), 3),
        "attempts": attempts,
        "log_bytes": ended.log_end,
        "last_metrics": _last_metrics(run, output),
        "tracking": {"wandb": {"url": wandb}} if wandb else {},
        "warnings": end_facts.warnings_of(metadata),
        "missing_artifacts": end_facts.missing_artifacts(run, spec),
    }


def _last_metrics(run: RunDir, output: Dict[str, Any]) -> Dict[str, Any]:
    """Those in the metrics file, whoever wrote it, and those that the last attempt printed."""
    written, printed = last_metrics.of_ended(run.metrics), output.get("last_metrics") or {}
    # A run that writes the file itself is the better source; what we write there may have found no room on the disk.
    return dict(written, **printed) if output.get("scraped") else dict(printed, **written)
