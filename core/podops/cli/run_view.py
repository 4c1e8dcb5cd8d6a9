"""A run as commands show it: a row, a page, a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from podops.cli.output import duration, iso, table

if TYPE_CHECKING:
    from podops.fleet.snapshot import PodSnapshot, RunSnapshot


def run_summary(run: RunSnapshot) -> dict[str, Any]:
    """One entry of `run list --json`."""
    return {
        "run_id": run.run_id,
        "pod": run.pod,
        "project": run.project,
        "preset": run.preset,
        "kind": run.kind,
        "state": run.state,
        "reason": run.reason,
        "created_at": iso(run.created_at),
        "elapsed_s": run.elapsed_s,
        "step": run.step,
        "total_steps": run.total_steps,
        "phase": run.phase,
        "metrics": dict(run.metrics),
        "tags": list(run.tags),
        "problems": list(run.problems),
        "attempt": run.attempt,
        "priority": run.priority,
        "after": list(run.after),
        "waits_for": run.detail if run.state in ("queued", "held") else "",
    }


def run_status(run: RunSnapshot, pod: PodSnapshot, records: dict[str, Any], tail: list[str]) -> dict[str, Any]:
    """`run status --json`."""
    gpus = [asdict(gpu) for gpu in pod.gpus.gpus if gpu.index in run.gpus]
    return run_summary(run) | {
        "ok": run.state not in ("failed", "lost", "cancelled"),
        "detail": run.detail,
        "run_dir": run.run_dir,
        "session": run.session,
        "command": run.command,
        "endpoint": endpoint_view(run.endpoint),
        "exit_code": run.exit_code,
        "signal": run.signal,
        "stalled": run.stalled,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "heartbeat": {
            "time": iso(run.heartbeat_time),
            "age_s": run.heartbeat_age_s,
            "line": run.heartbeat_line,
        },
        "stdout_tail": tail,
        "gpus": gpus,
        "wandb": {"url": run.tracking["wandb"]} if "wandb" in run.tracking else {},
        "summary": records.get("summary"),
    }


def endpoint_view(url: str) -> dict[str, Any] | None:
    """Where a service listens, seen from its own pod."""
    try:
        parts = urlsplit(url)
        return {"host": parts.hostname, "port": parts.port, "url": url} if parts.port else None
    except ValueError:
        return None


def run_rows(runs: Sequence[RunSnapshot]) -> str:
    headers = ("RUN", "POD", "PRESET", "STATE", "REASON", "ELAPSED", "STEP", "LOSS", "NOTE")
    return table(headers, [_row(run) for run in runs], state_column=3)


def _row(run: RunSnapshot) -> tuple[str, ...]:
    step = "-" if run.step is None else str(run.step)
    if run.step is not None and run.total_steps:
        step += f"/{run.total_steps}"
    loss = next((run.metrics[name] for name in ("loss", "train_loss") if name in run.metrics), None)
    notes = [run.phase, "stalled" if run.stalled else "", run.detail, *run.problems]
    return (
        run.run_id,
        run.pod,
        run.preset or "-",
        run.state,
        run.reason or "-",
        duration(run.elapsed_s),
        step,
        "-" if loss is None else f"{loss:.4g}",
        "; ".join(note for note in notes if note),
    )


def run_text(run: RunSnapshot, tail: list[str]) -> str:
    """The page of `run status`."""
    reason = f" · {run.reason}" if run.reason else ""
    lines = [f"{run.run_id}  {run.state}{reason}", f"pod        {run.pod}", f"preset     {run.preset} ({run.kind})"]
    facts = {
        "why": run.detail,
        "phase": run.phase,
        "endpoint": f"{run.endpoint} on {run.pod}" if run.endpoint else "",
        "elapsed": duration(run.elapsed_s),
        "heartbeat": f"{duration(run.heartbeat_age_s)} ago · {run.heartbeat_line}"
        if run.heartbeat_line
        else "none yet",
        "gpus": ", ".join(str(index) for index in run.gpus),
        "metrics": "  ".join(f"{name}={value:.5g}" for name, value in run.metrics.items()),
        "wandb": run.tracking.get("wandb", ""),
        "directory": run.run_dir,
        "session": run.session or "",
        "command": run.command,
        "problems": "; ".join(run.problems),
    }
    lines += [f"{name:<10} {text}" for name, text in facts.items() if text]
    return "\n".join([*lines, "", *tail])
