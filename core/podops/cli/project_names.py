"""Names of the project file for shell completion: they never raise and never print, whatever that file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from podops.cli.context import Options

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig


def complete_pods(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Pods that begin with what has been typed."""
    project = _project(context)
    pods = project.pods if project else {}
    return _matching({name: ", ".join((pod.transport, *pod.tags)) for name, pod in pods.items()}, incomplete)


def complete_presets(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Presets that begin with what has been typed."""
    project = _project(context)
    presets = project.presets if project else {}
    return _matching({name: preset.description or preset.kind for name, preset in presets.items()}, incomplete)


def _matching(names: Mapping[str, str], incomplete: str) -> list[CompletionItem[str]]:
    return [CompletionItem(name, help=about) for name, about in names.items() if name.startswith(incomplete)]


def _project(context: click.Context) -> ProjectConfig | None:
    try:
        return Options(context.find_root().params.get("config")).project()
    except Exception:  # somebody is in the middle of a line: any word now would spoil it
        return None
