"""The records of a run as text to read. A pod is not trusted: whatever it sent, each returns a text."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import yaml
from rich.text import Text

from podops.fleet.snapshot import RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age, size
from podops_tui.run_story import RunStory, story_text
from podops_tui.widgets.heartbeat_pane import heartbeat


def facts(run: RunSnapshot, story: RunStory, now: float) -> Text:
    """Everything known about `run`, for reading; `now` is this machine's monotonic clock."""
    text = Text.assemble((clean(run.run_id) + "\n", "bold")).append_text(heartbeat(run, now))
    text.append_text(story_text(run, story)).append("\n")
    rows = {
        "pod": run.pod,
        "preset": run.preset,
        "kind": run.kind,
        "user": run.user,
        "created": _clock(run.created_at),
        "ended": _clock(run.ended_at),
        "gpus": ", ".join(map(str, run.gpus)),
        "exit code": "" if run.exit_code is None else str(run.exit_code),
        "signal": "" if run.signal is None else str(run.signal),
        "endpoint": run.endpoint,
        "session": run.session or "",
        "directory": run.run_dir,
        "tags": ", ".join(run.tags),
        **run.tracking,
    }
    for name, value in rows.items():
        if value:
            text.append(f"{clean(name):<10}", "dim").append(clean(value) + "\n")
    return text.append("\ncommand\n", "dim").append(_lines(run.command) or "not recorded")


def config_text(records: Mapping[str, Any], effective: bytes | None) -> Text:
    """What the run was started with: resolved configuration, code, limits."""
    text = Text()
    spec, metadata = _mapping(records.get("spec")), _mapping(records.get("metadata"))
    shown = _loaded(effective)
    for name in ("schema", "command"):
        shown.pop(name, None)
    sections: dict[str, object] = {**shown, "git": metadata.get("git")}
    sections.update({name: spec.get(name) for name in ("gpus", "policies", "service", "wandb", "workdir")})
    for name, value in sections.items():
        if value not in (None, {}, []):
            text.append(clean(name) + "\n", "bold").append(_plain(value) + "\n")
    return text if text.plain else Text("nothing is recorded", "dim")


def events_text(data: bytes) -> Text:
    """The timeline: when, what, and the facts of each event."""
    text = Text()
    first: float | None = None
    for line in data.splitlines()[-2000:]:
        event = _loaded(line)
        moment = event.pop("time", None)
        name = event.pop("event", None)
        if not isinstance(name, str):
            continue
        at = float(moment) if isinstance(moment, (int, float)) and not isinstance(moment, bool) else None
        first = at if first is None else first
        text.append(f"{_clock(at):<20} ", "dim")
        text.append(f"{'' if at is None or first is None else '+' + age(at - first):>8}  ", "dim")
        text.append(f"{clean(name):<14} ", "bold")
        facts = (f"{clean(str(key))}={clean(str(value))}" for key, value in event.items() if value is not None)
        text.append(" ".join(facts) + "\n")
    return text if text.plain else Text("no events yet", "dim")


def file_text(name: str, offset: int, whole: int, data: bytes) -> Text:
    """The end of a file, as far as it was read."""
    text = Text.assemble((clean(name), "bold"), (f"  {size(whole)}\n", "dim"))
    if offset:
        text.append(f"⋯ {size(offset)} before this ⋯\n", "dim italic")
    shown = data.decode("utf-8", "replace")
    if name.endswith(".json"):
        loaded = _loaded(data)
        shown = json.dumps(loaded, indent=2, ensure_ascii=False) if loaded else shown
    return text.append(_lines(shown))


def _lines(text: str) -> str:
    return "\n".join(clean(line) for line in text.split("\n"))


def _plain(value: object) -> str:
    dumped = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=200)
    lines = dumped.removesuffix("...\n").rstrip("\n").split("\n")
    return "\n".join("  " + clean(line) for line in lines)


def _loaded(data: bytes | None) -> dict[str, Any]:
    try:
        loaded = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _clock(moment: float | None) -> str:
    """Local time of a Unix time; empty for none, or one no calendar has."""
    if moment is None:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    except (OverflowError, ValueError, OSError):
        return ""
