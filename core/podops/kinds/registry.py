"""Which kinds of presets there are: our own, and those packages add through `podops.kinds`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from podops.config.model import OverrideStyle, PodConfig, PresetConfig, ProjectConfig, ServiceConfig


@dataclass(frozen=True, slots=True)
class KindInput:
    """What a kind may look at. `overrides` are typed, the command line's over the preset's."""

    config: ProjectConfig
    pod: PodConfig
    preset: PresetConfig
    overrides: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KindOutput:
    """What a kind makes of it. `parts` are the command in the form of docs/protocol.md."""

    parts: tuple[Any, ...]
    workdir: str | None = None
    config: str | None = None
    service: ServiceConfig | None = None
    derived: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: a pure function, the preset keys that are its own, and how it writes overrides by default."""

    build: Callable[[KindInput], KindOutput]
    style: OverrideStyle = "keyval"
    options: tuple[str, ...] = ()


@functools.cache
def _ours() -> Mapping[str, Kind]:
    from podops.kinds.nanogpt import nanogpt_train
    from podops.kinds.template import run_template
    from podops.kinds.vllm import vllm_serve

    return {
        "command": Kind(run_template),
        "train": Kind(run_template),
        "eval": Kind(run_template, "flags"),
        "nanogpt_train": Kind(nanogpt_train, "literal", ("config", "script", "override_prefix")),
        "vllm_serve": Kind(vllm_serve, "flags", ("model", "port", "args")),
    }


@functools.cache
def kinds() -> Mapping[str, Kind]:
    """Every kind by name. A package's kind never replaces one of ours."""
    # Here, because looking through all packages takes longer than reading a project file of ours alone.
    from importlib.metadata import entry_points

    found = {entry.name: entry.load() for entry in entry_points(group="podops.kinds") if is_kind_name(entry.name)}
    return {**found, **_ours()}


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises `KeyError` when there is none."""
    return _ours().get(name) or kinds()[name]


def is_kind_name(name: str) -> bool:
    return name.isidentifier()


def is_kind(name: str) -> bool:
    return name in _ours() or name in kinds()


def kind_names() -> tuple[str, ...]:
    return tuple(kinds())


def kind_options(name: str) -> tuple[str, ...]:
    return kind_of(name).options
