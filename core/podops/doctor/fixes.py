"""What `ops doctor --fix` can do about a finding: each is offered, never done unasked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from podops.config.model import ProjectConfig
from podops.doctor.check import Check
from podops.errors import PodopsError
from podops.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Fix:
    """One offer. `question` says what would be done and what is kept."""

    check: Check
    pod: str
    question: str


def fixes(checks: list[Check], config: ProjectConfig) -> list[Fix]:
    """An offer for each finding that has one."""
    script = config.storage.wandb.ensure_creds_script
    return [
        Fix(check, pod, f"Let {script} on pod {pod} fill ~/.netrc, and keep the old one as .bak?")
        for check in checks
        if check.fix == "wandb_script" and (pod := check.subject.removeprefix("pod ")) in config.pods
    ]


async def apply(fleet: Fleet, fix: Fix, config: ProjectConfig) -> Check:
    """Do it; the finding as it is now."""
    try:
        told = await fleet.fix(fix.pod, fix.check.fix, script=config.storage.wandb.ensure_creds_script)
    except PodopsError as error:
        return replace(fix.check, level="fail", message=error.message, hint=error.hint)
    return replace(fix.check, level="ok", message=told, hint="", fix="")
