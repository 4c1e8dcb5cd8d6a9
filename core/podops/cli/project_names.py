"""Words for shell completion, of the project file and of the runs seen last: they never raise and never print."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from podops.cli.context import Options

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.snapshot import RunSnapshot


def complete_pods(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Pods that begin with what has been typed."""
    project = _project(context)
    pods = project.pods if project else {}
    return _matching({name: ", ".join((pod.transport, *pod.tags)) for name, pod in pods.items()}, incomplete)


def complete_providers(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Providers of `provision:` that begin with what has been typed."""
    project = _project(context)
    providers = project.provision if project else {}
    return _matching({name: f"pods of {one.source}" for name, one in providers.items()}, incomplete)


def inputs_of(context: click.Context, provider: str, incomplete: str) -> list[CompletionItem[str]]:
    """The inputs of a provider as `KEY=`, and after that its choices."""
    project = _project(context)
    if project is None or provider not in project.provision:
        return []
    inputs = project.provision[provider].inputs
    key, sign, _ = incomplete.partition("=")
    if not sign:
        return _matching({f"{name}=": one.description or one.type for name, one in inputs.items()}, incomplete)
    choices = inputs[key].choices if key in inputs else ()
    return _matching({f"{key}={choice}": "" for choice in choices}, incomplete)


def complete_presets(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Presets that begin with what has been typed."""
    project = _project(context)
    presets = project.presets if project else {}
    return _matching({name: preset.description or preset.kind for name, preset in presets.items()}, incomplete)


def complete_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Runs seen last that begin with what has been typed, newest first, those already on the line left out."""
    return _seen(context, parameter, incomplete, ended=True)


def complete_living_runs(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """As `complete_runs`, without those that had ended."""
    return _seen(context, parameter, incomplete, ended=False)


def complete_overrides(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """`KEY=` for each override of the preset on the line; what it is now stands beside it."""
    project = _project(context)
    preset = project.presets.get(str(context.params.get("preset"))) if project else None
    given = {text.partition("=")[0] for text in context.params.get(parameter.name or "") or ()}
    keys = preset.overrides.items() if preset else ()
    return _matching({f"{key}=": str(value) for key, value in keys if key not in given}, incomplete)


def _seen(
    context: click.Context, parameter: click.Parameter, incomplete: str, *, ended: bool
) -> list[CompletionItem[str]]:
    typed = context.params.get(parameter.name or "")
    given, pod = set(typed) if isinstance(typed, tuple) else set(), context.params.get("pod")
    runs = [
        run
        for run in _remembered(context, incomplete)
        if run.run_id not in given and (ended or not run.ended) and pod in (None, run.pod)
    ]
    return _matching({run.run_id: f"{run.state} on {run.pod}" for run in runs}, incomplete)


def newest_seen(count: int) -> list[RunSnapshot]:
    """So many of the runs seen last, newest first; empty where the project file cannot be read."""
    from podops.config.load import load_project
    from podops.errors import PodopsError

    try:
        # Without the pods of its sources, which might have to be asked.
        project = load_project(path=click.get_current_context().find_root().params.get("config"), environ=os.environ)
    except PodopsError:
        return []
    return sorted(_find(project, ""), key=lambda run: run.created_at or 0.0, reverse=True)[:count]


def _remembered(context: click.Context, prefix: str) -> list[RunSnapshot]:
    return _find(_project(context), prefix)


def _find(project: ProjectConfig | None, prefix: str) -> list[RunSnapshot]:
    """What this machine's history has: asking the pods would take too long."""
    from podops.history.keep import history_of

    history = history_of(project, os.environ, lambda _: None) if project else None
    try:
        found = history.find(prefix) if history else []
    finally:
        if history is not None:
            history.close()
    return [one.run for one in found if one.gone_at is None]


def _matching(names: Mapping[str, str], incomplete: str) -> list[CompletionItem[str]]:
    return [CompletionItem(name, help=about) for name, about in names.items() if name.startswith(incomplete)]


def _project(context: click.Context) -> ProjectConfig | None:
    try:
        return Options(context.find_root().params.get("config")).project()
    except Exception:  # somebody is in the middle of a line: any word now would spoil it
        return None
