"""What the selected run last said about itself, and how long ago."""

from __future__ import annotations

from rich.text import Text

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age, bar, elapsed, ratio, size, state_mark, steps, ticking


def heartbeat(run: RunSnapshot, now: float) -> Text:
    """State, ages, progress and metrics of `run`; `now` is this machine's monotonic clock."""
    mark, colour = state_mark(run.state)
    text = Text.assemble((f"{mark} {clean(run.state)}", f"bold {colour}"))
    if run.reason:
        text.append(f" · {clean(run.reason)}", colour)
    if run.stalled:
        text.append(" · STALLED", "bold yellow")
    text.append(f" · {age(elapsed(run, now))}\n")
    beat = age(ticking(run.heartbeat_age_s, run, now))
    written = age(ticking(run.log_age_s, run, now))
    text.append(f"beat {beat} ago · log {written} ago, {size(run.log_bytes)}\n", "dim")
    if run.heartbeat_line:
        text.append(clean(run.heartbeat_line) + "\n")
    if run.step is not None:
        done = ratio(run.step, run.total_steps)
        text.append(f"step {steps(run)}" + (f"  {bar(done, 16)}" if done is not None else "") + "\n")
    for name, value in run.metrics.items():
        text.append(f"{clean(name):<16} ", "dim").append(f"{value:.6g}\n")
    if run.detail:
        text.append(clean(run.detail) + "\n", colour)
    for problem in run.problems:
        text.append(f"! {clean(problem)}\n", "yellow")
    return text
