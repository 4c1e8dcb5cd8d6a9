"""What this machine keeps beside the project: the history, and links that are shared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from podops.config.model import ProjectConfig
from podops.doctor.check import Check
from podops.history.keep import history_of
from podops.sharing.ask import FoundHolder, holder_of


def keeping_checks(config: ProjectConfig, environ: Mapping[str, str]) -> Iterator[Check]:
    yield _history(config, environ)
    yield _links(holder_of(config.sources, environ))


def _links(holder: FoundHolder | None) -> Check:
    if holder is None:
        return Check("ok", "this machine", "shared links", "none: each command connects by itself")
    if holder.answers:
        return Check("ok", "this machine", "shared links", f"held by {holder.name}, process {holder.pid}")
    who, pid = (f"process {holder.pid}", str(holder.pid)) if holder.pid else ("a process", "PID")
    told = f"{who} holds them and does not answer: each command waits for it, then connects by itself"
    cure = f"if it was stopped (ctrl-z), `fg` there or `kill -CONT {pid}` lets it go on; else end it: `kill -9 {pid}`"
    return Check("warn", "this machine", "shared links", told, cure)


def _history(config: ProjectConfig, environ: Mapping[str, str]) -> Check:
    told: list[str] = []
    history = history_of(config, environ, told.append)
    if history is None:
        return Check("ok", "this machine", "history", "none is kept: history.enabled is false")
    facts = history.facts()
    history.close()
    if facts is None:
        why = told[-1] if told else "another process is writing to it and does not end"
        return Check("warn", "this machine", "history", why, "OPS_STATE_DIR names another folder for it")
    size, most = facts.size / 2**20, config.history.max_bytes / 2**20
    rows = ", ".join(f"{what} {count}" for what, count in facts.rows.items())
    shown = f"{facts.path}, {size:.1f} of {most:.0f} MiB: {rows}"
    return Check("warn" if told else "ok", "this machine", "history", "; ".join([shown, *told]))
