"""What each pod shows when it is looked at through its link: its own findings, its GPUs, its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from podops.config.model import PodConfig, ProjectConfig
from podops.doctor.check import Check, Level
from podops.errors import PodopsError
from podops.fleet import wire
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import GpuReport, PodSnapshot

#: How long a live pod may take to send its first sample, seconds.
_SAMPLE_S = 5.0

#: A clock that is off by more than this spoils the times in records, seconds.
_SKEW_S = 5.0


async def pod_checks(fleet: Fleet) -> list[Check]:
    """The checks of every pod of an open, settled fleet, all pods at once."""
    found = await asyncio.gather(*(_pod(fleet, fleet.config, name) for name in fleet.snapshot.pods))
    return [check for checks in found for check in checks]


async def _pod(fleet: Fleet, config: ProjectConfig, name: str) -> list[Check]:
    seen = await _sampled(fleet, name)
    subject = f"pod {name}"
    if seen.state == "gone":
        return [Check("ok", subject, "link", f"none: {seen.reason}")]
    if seen.state != "live":
        return [Check("fail", subject, "link", seen.reason or "no answer in time", seen.hint)]
    checks = [Check("ok", subject, "link", f"{seen.address}, {seen.host.os}, python {seen.host.python}")]
    try:
        answer, asked, came = await fleet.check(name, **expected(config, config.pods[name]))
    except PodopsError as error:
        return [*checks, Check("fail", subject, "check", error.message, error.hint)]
    checks += findings(subject, answer.get("findings"))
    needed = any(preset.gpus not in (None, 0) for preset in config.presets.values())
    checks += gpu_checks(subject, seen.gpus, needed)
    time = wire.number(answer.get("time"))
    return checks if time is None else [*checks, clock_check(subject, time, asked, came)]


def expected(config: ProjectConfig, pod: PodConfig) -> dict[str, Any]:
    """What the project counts on; the fields of `check` in docs/protocol.md."""
    storage = config.storage
    return {
        "outputs_dir": pod.outputs_dir,
        "repo_dir": pod.repo_dir,
        "venv_python": pod.venv_python,
        "tmux": config.tmux.enabled,
        "hf_home": storage.hf_home,
        "datasets_root": storage.datasets_root,
        "env_files": list(dict.fromkeys([*storage.env_files, *_preset_files(config)])),
        "wandb": {
            "mode": storage.wandb.mode,
            "project": storage.wandb.project,
            "ensure_creds_script": storage.wandb.ensure_creds_script,
        },
    }


def _preset_files(config: ProjectConfig) -> Iterator[str]:
    return (path for preset in config.presets.values() for path in preset.env_files)


def findings(subject: str, sent: object) -> Iterator[Check]:
    """The pod's own findings, as far as they have the agreed form."""
    for item in map(wire.mapping, wire.items(sent)):
        level = item.get("level")
        if level in ("ok", "warn", "fail"):
            told = (wire.text(item.get(name), 1000) for name in ("subject", "message", "hint", "fix"))
            yield Check(cast(Level, level), subject, *told)


def gpu_checks(subject: str, report: GpuReport, needed: bool) -> Iterator[Check]:
    """The GPUs and where the figures come from; a fault for each that cannot be read."""
    if not report.gpus:
        hint = "presets ask for GPUs: is the driver there, and `nvidia-smi` well?" if needed else ""
        yield Check("warn" if needed else "ok", subject, "gpus", report.message or "none", hint)
        return
    simulated = " SIMULATED" if report.simulated else ""
    names = ", ".join(dict.fromkeys(gpu.name for gpu in report.gpus))
    yield Check("ok", subject, "gpus", f"{len(report.gpus)}{simulated} {names}, by {report.source}")
    for gpu in report.gpus:
        if gpu.error:
            hint = "see `nvidia-smi -q` and dmesg there; a lost GPU needs a reset or another pod"
            yield Check("warn", subject, f"gpu {gpu.index}", gpu.error, hint)


def clock_check(subject: str, theirs: float, asked: float, came: float) -> Check:
    """How far the pod's clock is from ours; the way there and back bounds what can be known."""
    ahead, doubt = theirs - (asked + came) / 2, (came - asked) / 2
    if abs(ahead) - doubt <= _SKEW_S:
        return Check("ok", subject, "clock", f"within {max(abs(ahead), doubt):.1f} s of this machine's")
    message = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    return Check("warn", subject, "clock", message, "set the wrong one right: timedatectl set-ntp true")


async def _sampled(fleet: Fleet, name: str) -> PodSnapshot:
    """The pod, with a sample when it is live and sends one in time."""

    def has_come() -> bool:
        pod = fleet.snapshot.pods[name]
        return pod.state != "live" or pod.sample is not None

    await fleet.until(has_come, _SAMPLE_S)
    return fleet.snapshot.pods[name]
