"""Finding, merging and checking the project file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from podops.config.document import Value, merge, read_document
from podops.config.find import find_project, is_setting, local_files
from podops.config.model import ProjectConfig
from podops.config.schema import build_project
from podops.config.written import Loader
from podops.errors import ConfigError, ConfigFault


def load_project(
    start: Path | None = None,
    *,
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> ProjectConfig:
    """The project of `path`, or of the nearest file found upward from `start`.

    `project.local.*` beside it is merged over it, then `OPS_…` variables of `environ`, then `flags` (dotted keys).
    Raises `ConfigError` with every fault there is.
    """
    environ = os.environ if environ is None else environ
    chosen = path or find_project(start or _here())
    if chosen is None:
        raise ConfigError(
            "there is no project file here or in any parent directory",
            "make configs/ops/project.yaml (see docs/quickstart.md), name one with --config, or try `ops demo`",
        )
    if not chosen.is_file():
        raise ConfigError(f"{chosen} is not a file", "name a YAML or JSON project file with --config")
    faults: list[ConfigFault] = []
    sources: list[Path] = []
    document: Value | None = None
    for source in (chosen, *local_files(chosen)):
        part = read_document(source, faults)
        if part is not None:
            sources.append(source)
            document = part if document is None else merge(document, part)
    if document is not None:
        for dotted, text, origin in _settings(environ, flags or {}):
            document = merge(document, _nested(dotted, text, origin))
        config = build_project(document, tuple(sources), environ, faults)
        if not faults:
            return config
    faults.sort(key=lambda fault: (fault.file, fault.line))
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise ConfigError(f"the project file has {count}", "docs/configuration.md tells every key", faults=tuple(faults))


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the current directory cannot be used: {error.strerror}",
            "go to one that exists, or name the file with --config",
        ) from None


def _settings(environ: Mapping[str, str], flags: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, text in sorted(environ.items()):
        if is_setting(name):
            section, _, rest = name.removeprefix("OPS_").partition("__")
            dotted = ".".join(part.lower() for part in (section, *rest.split("__")))
            yield dotted, text, f"environment variable {name}"
    for dotted, text in flags.items():
        yield dotted, text, f"flag for {dotted}"


def _nested(dotted: str, text: str, origin: str) -> Value:
    try:
        scalar = yaml.load(text, Loader=Loader)
    except yaml.YAMLError:
        scalar = text
    value = Value(scalar if isinstance(scalar, (str, int, float, bool)) else text, origin, 0)
    for key in reversed(dotted.split(".")):
        value = Value({key: value}, origin, 0)
    return value
