"""From a preset to the exact thing that will run: pure, before any pod is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from podops.config.model import GpuRequest, ProjectConfig


@dataclass(frozen=True, slots=True)
class SubmitPlan:
    """What `--dry-run` prints and `submit` sends. `spec` has the shape of `run_spec.json` (docs/protocol.md)."""

    pod: str
    run_id: str
    preset: str
    kind: str
    run_dir: str
    session: str | None
    #: The shell line as it will run; a value only the pod knows is shown as `key=<auto>`.
    command: str
    workdir: str | None
    spec: dict[str, Any]
    warnings: tuple[str, ...] = ()


def plan_submit(
    config: ProjectConfig,
    preset: str,
    pod: str,
    *,
    overrides: Sequence[str] = (),
    run_id: str | None = None,
    gpus: GpuRequest = None,
    ref: str | None = None,
    tags: Sequence[str] = (),
) -> SubmitPlan:
    """Resolve `preset` for `pod`. `overrides` are `KEY=VALUE` as typed.

    Raises `NotFoundError` for an unknown preset or pod, `UsageError` for an override or run id that cannot be taken.
    """
    raise NotImplementedError
