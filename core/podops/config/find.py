"""Where the project file is, and what else says what the project is; imports nothing that reads YAML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_DIRECTORIES = ("configs/ops", "")
_NAMES = {"configs/ops": ("project",), "": ("ops",)}
_SUFFIXES = (".yaml", ".yml", ".json")

#: `OPS_TMUX__SOCKET=x` sets `tmux.socket`; these prefixes are ours, other `OPS_…` variables mean something else.
SECTIONS = ("PROJECT", "STORAGE", "TMUX", "DEFAULTS", "HISTORY")


def find_project(start: Path) -> Path | None:
    """The project file of `start` or its nearest parent: `configs/ops/project.{yaml,yml,json}`, else `ops.{…}`."""
    for directory in (start, *start.parents):
        for folder in _DIRECTORIES:
            for name in _NAMES[folder]:
                for suffix in _SUFFIXES:
                    path = directory / folder / (name + suffix)
                    if path.is_file():
                        return path
    return None


def local_files(chosen: Path) -> Iterator[Path]:
    """The private files beside `chosen` that are merged over it."""
    for suffix in _SUFFIXES:
        local = chosen.with_name(f"{chosen.stem}.local{suffix}")
        if local.is_file():
            yield local


def is_setting(name: str) -> bool:
    """Whether an environment variable sets a key of the project."""
    section, separator, _ = name.removeprefix("OPS_").partition("__")
    return name.startswith("OPS_") and bool(separator) and section in SECTIONS
