"""How a run came to where it is: its attempts, and the evidence of its end. No pod is trusted: any record will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from podops.fleet.attempts import AttemptRecord, read_attempts
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age, state_mark


class RunStory:
    """Reads the records of one run when it may have come further."""

    def __init__(self) -> None:
        self.attempts: tuple[AttemptRecord, ...] = ()
        self.summary: Mapping[str, Any] = {}
        self._read_at: tuple[object, ...] = ()

    async def refresh(self, fleet: Fleet, run: RunSnapshot) -> None:
        """Raises `PodopsError`."""
        now = (run.state, run.attempt, run.phase == "retrying")
        if now == self._read_at:
            return
        if run.attempt > 1 or run.attempts_max > 1:
            self.attempts = await read_attempts(fleet, run)
        if run.ended:
            records = await fleet.run_records(run.pod, run.run_id, project=run.project)
            self.summary = _mapping(records.get("summary"))
        self._read_at = now


def story_text(run: RunSnapshot, story: RunStory) -> Text:
    """Evidence and attempts; empty for a run that has neither."""
    text = Text()
    if run.ended and not story.summary.get("ok"):
        text.append_text(_evidence(run, story.summary))
    if len(story.attempts) > 1 or (story.attempts and not run.ended):
        text.append_text(_attempts(run, story.attempts))
    return text


def _evidence(run: RunSnapshot, summary: Mapping[str, Any]) -> Text:
    """Where it shows, and the error: its text only where the detail of the run does not hold it already."""
    evidence, frame = _mapping(summary.get("evidence")), _mapping(summary.get("traceback"))
    text = Text()
    told = {key: value for key, value in evidence.items() if key not in ("line", "offset", "source")}
    words = [f"{key} {value}" for key, value in told.items()]
    if isinstance(offset := evidence.get("offset"), int):
        words.append(f"log at byte {offset:,}")
    _row(text, "evidence", ", ".join(words) or str(evidence.get("source") or ""))
    _quote(text, run, str(evidence.get("line") or ""))
    if frame.get("error"):
        function = f" in {frame['function']}" if frame.get("function") else ""
        _row(text, "raised at", f"{frame.get('file')}:{frame.get('line')}{function}" if frame.get("file") else "?")
        _quote(text, run, f"{frame['error']}: {frame.get('message') or ''}")
    return text


def _row(text: Text, name: str, value: str) -> None:
    if value:
        text.append(f"{name:<10}", "dim").append(clean(value) + "\n")


def _quote(text: Text, run: RunSnapshot, line: str) -> None:
    if line and line.strip() not in run.detail:
        text.append(f"  {clean(line.strip())}\n", "red")


def _attempts(run: RunSnapshot, attempts: tuple[AttemptRecord, ...]) -> Text:
    text = Text().append("\nattempts\n", "dim")
    for one in attempts:
        mark, colour = state_mark(one.state)
        text.append(f"{one.number:>3} ").append(f"{mark} {clean(one.reason or one.state)}", colour)
        text.append(f" {age(one.elapsed_s)}", "dim").append(f"  {clean(one.detail)}\n")
    if run.state == "running":
        text.append(f"{run.attempt:>3} ").append("● running\n", "green")
    return text


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
