"""The project file read again while something long-lived goes on with what it read first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from podops.config.find import local_files
from podops.config.load import load_project
from podops.config.model import PresetConfig, ProjectConfig
from podops.errors import ConfigError

#: So many faults are told; `ops status` tells them all.
_TOLD = 3

_Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Reread:
    """What a look at the file gave. `presets` are new ones; `problem` is why what was read before stays."""

    told: str
    presets: Mapping[str, PresetConfig] | None = None
    problem: bool = False


class ProjectFile:
    """The file of `config`; without one (a config that was made, not read) there is never anything to tell."""

    def __init__(self, config: ProjectConfig, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._file = config.sources[0] if config.sources else None
        self._known = _as_written(config)
        self._stamp = self._look()
        self._last: Reread | None = None

    def look(self, asked: bool = False) -> Reread | None:
        """What has changed since the last look; a problem that lasts is told again only when `asked` for."""
        if self._file is None:
            return None
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp, self._last = stamp, self._read(self._file)
            return self._last
        return self._last if asked and self._last is not None and self._last.problem else None

    def _look(self) -> _Stamp:
        files = () if self._file is None else (self._file, *local_files(self._file))
        return tuple(_stamp(file) for file in files)

    def _read(self, file: Path) -> Reread | None:
        try:
            now = _as_written(load_project(path=file, environ=self._environ))
        except ConfigError as error:
            return Reread(_problem(error), problem=True)
        before, self._known = self._known, now
        new = now.presets if now.presets != before.presets else None
        others = replace(now, presets=before.presets) != before
        if new is None and not others:
            return Reread(f"{file.name} is as it was again") if self._last and self._last.problem else None
        told = f"{file.name} has changed: "
        told += "its presets count from now on" if new is not None else ""
        told += "; " if new is not None and others else ""
        told += "what it says beside presets counts when ops is started again" if others else ""
        return Reread(told, new)


def _stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        found = file.stat()
    except OSError as error:
        return str(file), -1, error.errno or 0, 0
    return str(file), found.st_mtime_ns, found.st_size, found.st_ino


def _as_written(config: ProjectConfig) -> ProjectConfig:
    """Without the pods that its sources tell of."""
    return replace(config, pods={name: pod for name, pod in config.pods.items() if not pod.source})


def _problem(error: ConfigError) -> str:
    faults = [str(fault) for fault in error.faults[:_TOLD]] or [error.message]
    if len(error.faults) > _TOLD:
        faults.append(f"and {len(error.faults) - _TOLD} more")
    return "\n".join([*faults, "the app goes on with what it read before"])
