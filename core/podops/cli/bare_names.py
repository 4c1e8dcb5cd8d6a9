"""A preset or pod typed without its option: `ops run submit train a100`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from podops.config.reader import nearest
from podops.errors import UsageError

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig


def check_named(config: ProjectConfig, preset: str | None, pod: str | None, words: Sequence[str]) -> None:
    """Raise `UsageError` when no preset is named, or a preset or pod without its option; the hint has the options."""
    bare = [word for word in words if "=" not in word]
    meant_preset = preset or next((word for word in bare if word in config.presets), None)
    meant_pod = pod or next((word for word in bare if word in config.pods and word != meant_preset), None)
    misplaced = [word for word in bare if (word == meant_preset and not preset) or (word == meant_pod and not pod)]
    if preset is not None and not misplaced:
        return
    if meant_preset is None:
        unknown = [word for word in bare if word not in config.pods]
        raise UsageError("which preset? --preset NAME is missing", nearest(next(iter(unknown), ""), config.presets))
    named = [
        f"--preset {meant_preset}" if preset is None else "",
        f"--pod {meant_pod}" if meant_pod and not pod else "",
    ]
    told = f"{', '.join(misplaced)}: presets and pods are named by options"
    raise UsageError(told, f"write {' '.join(filter(None, named))}")
