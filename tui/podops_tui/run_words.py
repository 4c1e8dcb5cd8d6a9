"""What a run is doing or why it is not, in a few words: for a row of the list, the heartbeat and the run's page."""

from __future__ import annotations

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age, state_mark, ticking


def run_mark(run: RunSnapshot) -> tuple[str, str]:
    """`(symbol, colour)` of a run: that of its state, unless something is wrong with it while it runs."""
    mark, colour = state_mark(run.state)
    if run.state != "running":
        return mark, colour
    if run.stalled:
        return "◍", "yellow"
    return {"unhealthy": ("◍", "red"), "loading": ("◔", "cyan")}.get(run.phase, (mark, colour))


def why(run: RunSnapshot, now: float, *, full: bool = False) -> str:
    """Why it waits, when it is tried again, what is wrong with it or why it ended; with `full` with the evidence."""
    if run.waiting:
        return waits_for(run, full=full)
    if run.state == "lost" or run.ended:
        reason = "" if run.reason == "ok" else clean(run.reason or "")
        return f"{reason}: {clean(run.detail)}" if full and reason and run.detail else reason
    words = [retry(run, now)]
    if run.stalled:
        words.append(f"stalled {age(ticking(run.log_age_s, run, now))}")
    elif run.phase != "retrying":
        words.append(clean(f"{run.phase}: {run.detail}" if full and run.phase and run.detail else run.phase))
    return " ".join(word for word in words if word)


def waits_for(run: RunSnapshot, *, full: bool = True) -> str:
    """`#2 waits for 1 GPU: 0 of 4 free · priority 5`, or in few words what it waits for."""
    detail = clean(run.told_detail)
    words = [f"#{run.place}" if run.place else "", detail if full else detail.removeprefix("waits for ")]
    words += [f"· {retries}" if (retries := attempt_words(run)) else ""]
    words += [f"· priority {run.priority}" if run.priority else ""]
    return " ".join(word for word in words if word).removeprefix("· ")


def nothing_printed(run: RunSnapshot) -> str:
    """What stands in place of the log of a run of which no line is there."""
    if run.waiting:
        return f"not started: {waits_for(run) or run.state}"
    if run.ended:
        # What it has printed takes a moment to come.
        return "reading its log …" if run.log_bytes else "it has printed nothing"
    return "nothing printed yet"


def retry(run: RunSnapshot, now: float) -> str:
    """`attempt 2/3`, or `attempt 2/3 in 40s after nccl`; empty for a first attempt."""
    if run.retry_in_s is None:
        return attempt_words(run)
    left = max(0.0, run.retry_in_s - max(0.0, now - run.received_at))
    words = f"attempt {run.attempt + 1}/{run.attempts_max} in {age(left)}"
    return f"{words} after {clean(run.last_failure)}" if run.last_failure else words


def attempt_words(run: RunSnapshot) -> str:
    return f"attempt {run.attempt}/{max(run.attempt, run.attempts_max)}" if run.attempt > 1 else ""


def waited(run: RunSnapshot, now: float) -> float | None:
    """Seconds a waiting run has waited by `now` (this machine's monotonic clock)."""
    return ticking(run.waits_s, run, now)
