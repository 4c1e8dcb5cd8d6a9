"""A run as commands show it: a row, a page, a JSON object."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from podops.cli.output import ago, duration, iso, size, table

if TYPE_CHECKING:
    from podops.fleet.attempts import AttemptRecord
    from podops.fleet.snapshot import RunSnapshot

#: So much of one line of a log stands on the page of a run, characters.
_MOST_OF_LINE = 500

#: The columns of a list of runs; that of the epochs is there where a run tells any.
_HEADERS = ("RUN", "POD", "PRESET", "STATE", "REASON", "ELAPSED", "EPOCH", "STEP", "LOSS", "NOTE")


def run_summary(run: RunSnapshot, as_of: float | None = None, gone_at: float | None = None) -> dict[str, Any]:
    """One entry of `run list --json`; `as_of` and `gone_at` (its directory) when it was recalled from the history."""
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
        "epoch": run.epoch,
        "epochs": run.epochs,
        "total_is_part": run.total_is_part,
        "left_s": run.left_s,
        "phase": run.phase,
        "metrics": dict(run.metrics),
        "tags": list(run.tags),
        "problems": list(run.problems),
        "attempt": run.attempt,
        "attempts_max": run.attempts_max,
        "retry_in_s": run.retry_in_s,
        "priority": run.priority,
        "after": list(run.after),
        "place": run.place,
        "waits_s": run.waits_s,
        "waits_for": run.detail if run.waiting else "",
        "source": "pod" if as_of is None else "history",
        "as_of": iso(as_of),
        "gone_at": iso(gone_at),
    }


def run_status(
    run: RunSnapshot,
    gpus: Sequence[dict[str, Any]],
    summary: Mapping[str, Any] | None,
    attempts: Sequence[AttemptRecord],
    tail: list[str],
    as_of: float | None = None,
    gone_at: float | None = None,
) -> dict[str, Any]:
    """`run status --json`; `gpus` are those of its pod, `attempts` those that have ended."""
    return run_summary(run, as_of, gone_at) | {
        "ok": run.state not in ("failed", "lost", "cancelled"),
        "detail": run.detail,
        "run_dir": run.run_dir,
        "session": run.session,
        "command": run.command,
        "endpoint": endpoint_view(run.endpoint),
        "exit_code": run.exit_code,
        "signal": run.signal,
        "stalled": run.stalled,
        "attempts": [_attempt(attempt) for attempt in attempts],
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "heartbeat": {
            "time": iso(run.heartbeat_time),
            "age_s": run.heartbeat_age_s,
            "line": run.heartbeat_line,
        },
        "log": {"bytes": run.log_bytes, "freed_bytes": run.log_freed},
        "stdout_tail": tail,
        "gpus": [gpu for gpu in gpus if gpu["index"] in run.gpus],
        "wandb": {"url": run.tracking["wandb"]} if "wandb" in run.tracking else {},
        "summary": summary,
    }


def endpoint_view(url: str) -> dict[str, Any] | None:
    """Where a service listens, seen from its own pod."""
    try:
        parts = urlsplit(url)
        return {"host": parts.hostname, "port": parts.port, "url": url} if parts.port else None
    except ValueError:
        return None


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    told = asdict(attempt)
    return (
        {"attempt": told.pop("number")}
        | told
        | {"elapsed_s": None if attempt.elapsed_s is None else round(attempt.elapsed_s, 3)}
    )


def run_rows(runs: Sequence[RunSnapshot], old: Mapping[tuple[str, str], str] | None = None) -> str:
    """A table; `old` tells of runs that were recalled, by project and id, since when they are as they stand here."""
    ages = [(old or {}).get((run.project, run.run_id), "") for run in runs]
    rows = [_row(run, age) for run, age in zip(runs, ages, strict=True)]
    headers = [name for name in _HEADERS if name != "EPOCH" or any(row[name] != "-" for row in rows)]
    cells = [[row[name] for name in headers] for row in rows]
    return table(headers, cells, state_column=headers.index("STATE"), dim=[bool(age) for age in ages])


def _row(run: RunSnapshot, age: str) -> dict[str, str]:
    phase = f"attempt {_attempts_told(run)}" if run.retry_in_s is not None else run.phase
    notes = [age, phase, "stalled" if run.stalled else "", run.told_detail, *run.problems]
    told = (
        *(run.run_id, run.pod, run.preset or "-", run.state, run.reason or "-", duration(run.elapsed_s)),
        *(_epoch(run) or "-", _step(run) or "-", "-" if run.loss is None else f"{run.loss:.4g}"),
        "; ".join(note for note in notes if note),
    )
    return dict(zip(_HEADERS, told, strict=True))


def _step(run: RunSnapshot) -> str:
    """`120/500`; empty where it is not known."""
    if run.step is None:
        return ""
    return f"{run.step}/{run.total_steps}" if run.total_steps else str(run.step)


def _epoch(run: RunSnapshot) -> str:
    """`2/3`; empty where nobody knows of how many."""
    return f"{run.epoch}/{run.epochs}" if run.epoch is not None and run.epochs else ""


def _progress(run: RunSnapshot) -> str:
    """How far it is or came, and what is left of it."""
    words = [_step(run) + (f" of epoch {_epoch(run)}" if _epoch(run) else "")]
    if run.share is not None:
        words.append(f"{run.share:.0%}")
    if run.left_s is not None and not run.ended and run.state != "lost":
        words.append(f"{duration(run.left_s)} left")
    return " · ".join(words) if run.step is not None else ""


def run_text(run: RunSnapshot, attempts: Sequence[AttemptRecord], tail: list[str]) -> str:
    """The page of `run status`; `attempts` are those that have ended."""
    reason = f" · {run.reason}" if run.reason else ""
    lines = [f"{run.run_id}  {run.state}{reason}", f"pod        {run.pod}"]
    facts = {
        "preset": f"{run.preset} ({run.kind})" if run.kind else run.preset,
        "why": run.told_detail,
        "queue": _place(run),
        "attempt": _attempts_told(run),
        "phase": run.phase,
        "endpoint": f"{run.endpoint} on {run.pod}" if run.endpoint else "",
        "started": _moment(run.started_at) if run.started_at else "",
        "ended": _end(run),
        "elapsed": duration(run.elapsed_s),
        "heartbeat": _heartbeat(run),
        "log": _log(run),
        "gpus": ", ".join(str(index) for index in run.gpus),
        "step": _progress(run),
        "metrics": "  ".join(f"{name}={value:.5g}" for name, value in run.metrics.items() if name != "step"),
        "wandb": run.tracking.get("wandb", ""),
        "directory": run.run_dir,
        "session": run.session or "",
        "command": run.command,
        "problems": "; ".join(run.problems),
    }
    lines += [f"{name:<10} {text}" for name, text in facts.items() if text]
    if len(attempts) > 1 or (attempts and not run.ended):
        headers = ("ATTEMPT", "STATE", "REASON", "ELAPSED", "EVIDENCE")
        lines += ["", table(headers, [_attempt_row(attempt) for attempt in attempts], state_column=1)]
    return "\n".join([*lines, "", *(_clipped(line) for line in tail)])


def _moment(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def _end(run: RunSnapshot) -> str:
    if not run.ended:
        return ""
    how = f"signal {run.signal}" if run.signal else "" if run.exit_code is None else f"exit code {run.exit_code}"
    when = f"{_moment(run.ended_at)}, {ago(run.ended_at)}" if run.ended_at else ""
    return " · ".join(word for word in (when, how) if word)


def _heartbeat(run: RunSnapshot) -> str:
    """How its last one is; the end of a run says more than that."""
    if run.ended:
        return ""
    return f"{duration(run.heartbeat_age_s)} ago · {run.heartbeat_line}" if run.heartbeat_line else "none yet"


def _clipped(line: str) -> str:
    """A line of the log that is no longer than a person reads; `run tail` and --json have it whole."""
    return (
        line if len(line) <= _MOST_OF_LINE else f"{line[:_MOST_OF_LINE]}… (+{len(line) - _MOST_OF_LINE:,} characters)"
    )


def _log(run: RunSnapshot) -> str:
    """What is not to be read in the log any more."""
    if not run.log_freed:
        return ""
    return f"{size(run.log_bytes)}, {size(run.log_freed)} of it freed by max_log_size: its beginning and end are there"


def _place(run: RunSnapshot) -> str:
    if not run.waiting:
        return ""
    words = [f"place {run.place}" if run.place else "", f"for {duration(run.waits_s)}" if run.waits_s else ""]
    words += [f"priority {run.priority}" if run.priority else "", f"after {', '.join(run.after)}" if run.after else ""]
    return ", ".join(word for word in words if word)


def _attempts_told(run: RunSnapshot) -> str:
    if run.attempts_max == 1 and run.attempt == 1:
        return ""
    if run.retry_in_s is not None:
        why = f", after {run.last_failure}" if run.last_failure else ""
        return f"{run.attempt + 1} of {run.attempts_max} in {duration(run.retry_in_s)}{why}"
    return f"{run.attempt} of {max(run.attempt, run.attempts_max)}"


def _attempt_row(attempt: AttemptRecord) -> tuple[str, ...]:
    return (
        str(attempt.number),
        attempt.state,
        attempt.reason or "-",
        duration(attempt.elapsed_s),
        attempt.detail or "-",
    )
