"""What sources told last, kept on this machine: shared by all `ops` processes, and there before a source is asked."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from podops.config.model import PodConfig, PodSource, ProjectConfig
from podops.config.pod_keys import is_container
from podops.config.reader import is_name
from podops.errors import SourceError
from podops.sources.ask import ask
from podops.sources.mapping import Mapped
from podops.sources.ssh_words import parse_ssh
from podops.state_dir import state_dir, write_whole

#: What of a pod its source decides; the rest comes from the project file each time.
_KEPT = ("name", "ssh", "docker", "port", "identity_file", "price_per_hour", "tags", "source_id", "gone_since")


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What is known from one source. Times are Unix seconds; `problem` is why the last question failed."""

    name: str
    asked_at: float = 0.0
    answered_at: float | None = None
    problem: str = ""
    hint: str = ""
    #: What of the last answer was left out.
    notes: tuple[str, ...] = ()
    pods: tuple[PodConfig, ...] = ()
    coming: tuple[str, ...] = ()
    #: When the first of the failures came that no answer has followed.
    failing_since: float | None = None
    #: Those it names, but in a way that cannot be used; `notes` say why.
    refused: tuple[str, ...] = ()

    @property
    def without_way(self) -> tuple[str, ...]:
        """The pods it names and does not tell how to reach: not yet, or not in a way that can be used."""
        return (*self.coming, *self.refused)

    def due(self, source: PodSource, now: float, age: float = 0.0) -> bool:
        """Whether to ask again; an answer younger than `age`, in seconds, will do."""
        young = source.interval_s if self.answered_at is None else max(source.interval_s, age)
        return not 0 <= now - self.asked_at < young

    def after(self, mapped: Mapped, source: PodSource, now: float) -> SourceAnswer:
        """What is known after an answer: pods it no longer tells of are gone, and after a while forgotten."""
        told = {pod.name for pod in mapped.pods}
        here = {*mapped.coming, *mapped.refused, *told}
        pods = list(mapped.pods)
        for pod in self.pods:
            if pod.name in told:
                continue
            if pod.name in here:  # it is not gone: where it was is still the best that is known
                pods.append(replace(pod, gone_since=None))
            elif now - (pod.gone_since or now) < source.keep_gone_s:
                pods.append(replace(pod, gone_since=pod.gone_since or now))
        return SourceAnswer(
            self.name, now, now, "", "", mapped.problems, tuple(pods), mapped.coming, refused=mapped.refused
        )

    def after_failure(self, error: SourceError, now: float) -> SourceAnswer:
        """What is known after a failure: the same as before."""
        since = self.failing_since or now
        return replace(self, asked_at=now, problem=error.message, hint=error.hint, failing_since=since)


def with_pods(config: ProjectConfig, answers: Mapping[str, SourceAnswer]) -> tuple[ProjectConfig, dict[str, str]]:
    """The project with the pods of its sources, and which of those were left out, with the reason.

    A pod of the project file counts before one of a source, and one of an earlier source before a later one's.
    """
    pods = {name: pod for name, pod in config.pods.items() if not pod.source}
    left_out: dict[str, str] = {}
    for source in config.pod_sources:
        for pod in answers.get(source.name, SourceAnswer(source.name)).pods:
            other = pods.get(pod.name)
            if other is None:
                pods[pod.name] = pod
            elif pod.gone_since is None:
                place = f"source {other.source}" if other.source else "the project file"
                left_out[f"{source.name}/{pod.name}"] = f"pod {pod.name} is left out: {place} has one of that name"
    return replace(config, pods=pods), left_out


def recall(config: ProjectConfig) -> dict[str, SourceAnswer]:
    """What each source told last; a source that was never asked, or asked otherwise, is not among it."""
    try:
        stored = json.loads(_path(config).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    found: dict[str, SourceAnswer] = {}
    for source in config.pod_sources:
        entry = stored.get(source.name) if isinstance(stored, dict) else None
        if isinstance(entry, dict) and entry.get("question") == _question(source):
            with contextlib.suppress(TypeError, ValueError, KeyError):
                found[source.name] = _answer(source, entry)
    return found


def stamp(config: ProjectConfig) -> int:
    """Changes whenever an answer is stored, by whatever process; 0 while there is none."""
    try:
        return _path(config).stat().st_mtime_ns
    except OSError:
        return 0


def keep(config: ProjectConfig, answers: Mapping[str, SourceAnswer]) -> None:
    """Store them for the next `ops`; of one that another process asked later, its answer stays. Never raises."""
    path = _path(config)
    newest = {**recall(config)}
    for name, answer in answers.items():
        if name not in newest or answer.asked_at >= newest[name].asked_at:
            newest[name] = answer
    stored = {
        source.name: _stored(source, newest[source.name]) for source in config.pod_sources if source.name in newest
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps(stored).encode())


async def ask_all(config: ProjectConfig, within: float) -> dict[str, SourceAnswer]:
    """Ask every source now, `within` so many seconds, and keep what they say.

    Never raises: a failure is told in the answer.
    """
    before = recall(config)
    sources = [replace(source, timeout_s=min(source.timeout_s, within)) for source in config.pod_sources]
    answers = await asyncio.gather(*(_asked(source, before) for source in sources))
    found = {answer.name: answer for answer in answers}
    keep(config, found)
    return found


async def _asked(source: PodSource, before: Mapping[str, SourceAnswer]) -> SourceAnswer:
    asked = time.time()
    answer = before.get(source.name, SourceAnswer(source.name))
    try:
        return answer.after(await ask(source), source, asked)
    except SourceError as error:
        return answer.after_failure(error, asked)


def _question(source: PodSource) -> str:
    """What an answer depends on: another command or mapping makes what was known worthless."""
    asked = [source.command, source.items, source.filter, sorted(source.fields.items()), source.detail]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _stored(source: PodSource, answer: SourceAnswer) -> dict[str, Any]:
    return {
        "question": _question(source),
        "asked_at": answer.asked_at,
        "answered_at": answer.answered_at,
        "problem": answer.problem,
        "hint": answer.hint,
        "failing_since": answer.failing_since,
        "notes": answer.notes,
        "coming": answer.coming,
        "refused": answer.refused,
        "pods": [{key: getattr(pod, key) for key in _KEPT} for pod in answer.pods],
    }


def _answer(source: PodSource, entry: dict[str, Any]) -> SourceAnswer:
    answered, failing = entry["answered_at"], entry.get("failing_since")
    return SourceAnswer(
        source.name,
        float(entry["asked_at"]),
        None if answered is None else float(answered),
        str(entry["problem"]),
        str(entry["hint"]),
        _texts(entry["notes"]),
        tuple(_pod(source, pod) for pod in entry["pods"]),
        _texts(entry["coming"]),
        None if failing is None else float(failing),
        _texts(entry.get("refused", ())),
    )


def _texts(stored: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(text) for text in stored)


def _pod(source: PodSource, entry: dict[str, Any]) -> PodConfig:
    """One stored pod, read as strictly as what a source says."""
    fields = {key: entry[key] for key in _KEPT}
    ways = [fields["ssh"], fields["docker"]]
    if not is_name(fields["name"]) or (ways[0] is None) == (ways[1] is None):
        raise ValueError("not a pod")
    if fields["ssh"] is not None:
        parse_ssh(fields["ssh"])
    elif not is_container(fields["docker"]):
        raise ValueError("not a container")
    user = source.pod.user if fields["docker"] else None
    return replace(source.pod, **{**fields, "tags": _texts(fields["tags"])}, source=source.name, user=user)


def _path(config: ProjectConfig) -> Path:
    """One file for each project file."""
    name = hashlib.sha256(str(config.sources[0].resolve() if config.sources else "").encode()).hexdigest()[:16]
    return state_dir(os.environ) / f"sources-{name}.json"
