"""What `ops doctor --fix` can do about a finding: each is offered, never done unasked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from podops.config.model import ProjectConfig
from podops.doctor.check import Check
from podops.errors import PodopsError
from podops.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Fix:
    """One offer. `question` says what would be done and what is kept; `must_ask`: `--yes` is no answer to it."""

    check: Check
    pod: str
    question: str
    fields: Mapping[str, str | None]
    must_ask: bool = False


def fixes(checks: list[Check], config: ProjectConfig) -> list[Fix]:
    """An offer for each finding that has one."""
    return [offer for check in checks if (offer := _offer(check, config)) is not None]


def _offer(check: Check, config: ProjectConfig) -> Fix | None:
    pod = config.pods.get(check.subject.removeprefix("pod "))
    if pod is None:
        return None
    if check.fix == "wandb_script":
        script = config.storage.wandb.ensure_creds_script
        question = f"Let {script} on pod {pod.name} fill ~/.netrc, and keep the old one as .bak?"
        return Fix(check, pod.name, question, {"script": script})
    if check.fix == "outputs_root":
        # Whether a volume is missing in its place cannot be told from there.
        question = f"Make {pod.outputs_dir} on pod {pod.name}? Not if a volume should be mounted there."
        return Fix(check, pod.name, question, {"outputs_dir": pod.outputs_dir}, must_ask=True)
    return None


async def apply(fleet: Fleet, fix: Fix) -> Check:
    """Do it; the finding as it is now."""
    try:
        told = await fleet.fix(fix.pod, fix.check.fix, **fix.fields)
    except PodopsError as error:
        return replace(fix.check, level="fail", message=error.message, hint=error.hint)
    return replace(fix.check, level="ok", message=told, hint="", fix="")
