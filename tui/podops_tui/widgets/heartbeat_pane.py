"""What the selected run last said about itself, and how long ago."""

from __future__ import annotations

import re

from rich.text import Text

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age, bar, elapsed, ratio, size, steps, ticking
from podops_tui.run_words import attempt_words, retry, run_mark, waited

_STEPS = re.compile(r" (?:step|total|part|epoch|epochs|epoch_from|left)=\S+")


def heartbeat(run: RunSnapshot, now: float) -> Text:
    """State, ages, progress and metrics of `run`; `now` is this machine's monotonic clock."""
    mark, colour = run_mark(run)
    text = Text.assemble((f"{mark} {clean(run.state)}", f"bold {colour}"))
    if run.waiting:
        return text.append_text(_queue(run, now))
    if run.reason:
        text.append(f" · {clean(run.reason)}", colour)
    if run.stalled:
        text.append(" · STALLED", "bold yellow")
    if run.phase and run.phase != "retrying":
        text.append(f" · {clean(run.phase)}", f"bold {colour}")
    text.append(f" · {age(elapsed(run, now))}\n")
    if attempt := retry(run, now):
        text.append(attempt + "\n", "yellow" if run.retry_in_s is not None else "")
    beat = age(ticking(run.heartbeat_age_s, run, now))
    written = age(ticking(run.log_age_s, run, now))
    if run.heartbeat_age_s is not None or run.log_age_s is not None:
        text.append(f"beat {beat} ago · log {written} ago, {size(run.log_bytes)}\n", "dim")
    if run.heartbeat_line:
        text.append(clean(_without_steps(run)) + "\n")
    text.append_text(_progress(run))
    if run.detail:
        text.append(clean(run.told_detail) + "\n", colour)
    for problem in run.problems:
        text.append(f"! {clean(problem)}\n", "yellow")
    return text


def _progress(run: RunSnapshot) -> Text:
    """Its step, and its metrics."""
    text = Text()
    if run.step is not None:
        epoch = f" of epoch {run.epoch}/{run.epochs}" if run.epoch is not None and run.epochs else ""
        done = run.share if epoch else ratio(run.step, run.total_steps)
        text.append(f"step {steps(run)}{epoch}" + (f"  {bar(done, 16)}" if done is not None else "") + "\n")
    for name, value in run.metrics.items():
        if name == "step" and run.step is not None:
            continue  # it has a row of its own
        text.append(f"{clean(name):<16} ", "dim").append(f"{value:.6g}\n")
    return text


def _without_steps(run: RunSnapshot) -> str:
    """The heartbeat's line, but for the steps where they have a row of their own."""
    return run.heartbeat_line if run.step is None else _STEPS.sub("", run.heartbeat_line)


def _queue(run: RunSnapshot, now: float) -> Text:
    """A waiting run's place, what it waits for, and since when."""
    text = Text(f" · {age(waited(run, now))}\n")
    rows = {
        "place": f"{run.place} in the queue of {clean(run.pod)}" if run.place else "",
        "why": clean(run.told_detail),
        "gpus": run.asked_gpus,
        "priority": str(run.priority) if run.priority else "",
        "after": clean(", ".join(run.after)),
        "attempt": attempt_words(run),
    }
    for name, value in rows.items():
        if value:
            text.append(f"{name:<9}", "dim").append(clean(value) + "\n")
    for problem in run.problems:
        text.append(f"! {clean(problem)}\n", "yellow")
    return text
