"""`ops doctor`: this machine and every pod, with the cure for each fault."""

from __future__ import annotations

import asyncio
import platform
import shutil

import click

from podops.cli.context import Options, json_option, open_fleet
from podops.cli.output import clean, print_json
from podops.config.model import ProjectConfig
from podops.fleet.snapshot import PodSnapshot

#: level (ok, warn, fail), what was looked at, what was found, the cure
Check = tuple[str, str, str, str]


def machine_checks(config: ProjectConfig) -> list[Check]:
    """What this machine needs for the pods of `config`."""
    checks: list[Check] = [("ok", "python", platform.python_version(), "")]
    for tool, needed in (
        ("ssh", any(pod.ssh for pod in config.pods.values())),
        ("tmux", any(pod.local for pod in config.pods.values()) and config.tmux.enabled),
    ):
        found = shutil.which(tool)
        if needed:
            checks.append(("ok", tool, found, "") if found else ("fail", tool, "not found", f"install {tool}"))
    return checks


def pod_checks(pod: PodSnapshot) -> list[Check]:
    """What a connected (or failed) pod shows about itself."""
    name = f"pod {pod.name}"
    if pod.state != "live":
        return [("fail", name, pod.reason or "no answer in time", pod.hint)]
    checks: list[Check] = [("ok", name, f"answers, python {pod.host.python}", "")]
    tmux = pod.host.tmux
    checks.append(("ok", name, f"tmux {tmux}", "") if tmux else ("fail", name, "no tmux", "install tmux there"))
    for disk in pod.sample.disks if pod.sample else ():
        free = disk.total_bytes - disk.used_bytes
        level = "ok" if free > 2**30 else "warn"
        checks.append((level, name, f"{disk.path}: {free / 2**30:.1f} GiB free", "" if level == "ok" else "make room"))
    gpus = pod.gpus
    found = f"{len(gpus.gpus)} GPUs ({gpus.source}) {gpus.message}".rstrip()
    checks.append(("ok" if gpus.gpus else "warn", name, found, ""))
    return checks


@click.command()
@click.option("--pod", "pods", multiple=True)
@json_option
@click.pass_obj
def doctor(options: Options, pods: tuple[str, ...]) -> int:
    """Check this machine and every pod; exit 1 if anything fails."""

    async def work() -> list[Check]:
        checks = machine_checks(options.project())
        async with open_fleet(options, pods or None) as fleet:
            for pod in fleet.snapshot.pods.values():
                checks += pod_checks(pod)
        return checks

    checks = asyncio.run(work())
    failed = any(check[0] == "fail" for check in checks)
    keys = ("level", "subject", "message", "hint")
    document = {"ok": not failed, "checks": [dict(zip(keys, check, strict=True)) for check in checks]}
    lines = [f"{c[0]:5}{clean(c[1])}: {clean(c[2])}" + (f" — {clean(c[3])}" if c[3] else "") for c in checks]
    if options.json:
        print_json(document)
    else:
        click.echo("\n".join(lines))
    return int(failed)
