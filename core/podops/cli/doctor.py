"""`ops doctor`: this machine and every pod, with the cure for each fault."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from podops.cli.context import Options, json_option, open_fleet, run_async
from podops.cli.output import clean, print_json, say, use_colour
from podops.cli.project_names import complete_pods
from podops.cli.question import confirmed
from podops.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.doctor.check import Check
    from podops.fleet.fleet import Fleet

#: What is asked after the pods have taken all of the time limit may take so long, seconds.
_LEAST_S = 1.0

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option(
    "--pod",
    "pods",
    metavar="NAME",
    shell_complete=complete_pods,
    multiple=True,
    help="Check only this pod; may be given several times.",
)
@click.option("--fix", is_flag=True, help="Offer to do what can be done about a finding.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def doctor(options: Options, pods: tuple[str, ...], fix: bool, yes: bool) -> int:
    """Check this machine and every pod.

    Each fault comes with its cure. Exit code 0 when nothing failed (warnings are allowed), 1 when something did. --fix
    asks before it changes anything, and needs --yes where there is no terminal; a missing outputs root is made only
    where a person said so, because it may be a volume that is not mounted.
    """
    from podops.doctor.keeping import keeping_checks
    from podops.doctor.machine import machine_checks, project_checks

    if fix and not yes and not sys.stdin.isatty():
        raise UsageError("--fix asks first, and there is no terminal to ask on", "add --yes")
    checks = machine_checks(os.environ)
    try:
        config = options.project()
    except ConfigError:
        if not options.json:
            click.echo(_text(checks))
        raise
    checks += project_checks(config, os.environ)
    checks += keeping_checks(config, os.environ)
    checks += run_async(_fleet_checks(options, pods, _Fixing(yes) if fix else None))
    failed = any(check.level == "fail" for check in checks)
    if options.json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        click.echo(_text(checks))
        click.echo(f"\n{_count(checks, 'fail')}, {_count(checks, 'warn')}", err=True)
    return int(failed)


@dataclass(frozen=True, slots=True)
class _Fixing:
    """Whether to offer fixes, and whether to ask."""

    unasked: bool

    async def run(self, fleet: Fleet, config: ProjectConfig, checks: list[Check]) -> list[Check]:
        """The checks, with those that were mended as they are now."""
        from podops.doctor.fixes import apply, fixes

        for offer in fixes(checks, config):
            if self.unasked and offer.must_ask:
                say(f"left out, as --yes is no answer to this: {offer.question}")
            elif self.unasked or await confirmed(offer.question):
                checks[checks.index(offer.check)] = await apply(fleet, offer)
        return checks


async def _fleet_checks(options: Options, pods: Sequence[str], fixing: _Fixing | None) -> list[Check]:
    from podops.doctor.pods import pod_checks
    from podops.doctor.sources import source_checks

    checks: list[Check] = []
    begun = time.monotonic()
    async with open_fleet(options.alone(), pods or None, fresh=True) as fleet:
        config = fleet.config
        chosen = [config.pods[name] for name in fleet.snapshot.pods]
        checks += source_checks(fleet.snapshot)
        if any(pod.ssh for pod in chosen):
            from podops.doctor.ssh import ssh_checks

            failed = {name for name, pod in fleet.snapshot.pods.items() if pod.state != "live"}
            checks += await ssh_checks((pod for pod in chosen if pod.ssh), failed)
        if any(pod.docker for pod in chosen):
            from podops.doctor.engines import engine_checks

            live = {name for name, pod in fleet.snapshot.pods.items() if pod.state == "live"}
            left = max(_LEAST_S, options.timeout_s - (time.monotonic() - begun))
            checks += await engine_checks((pod for pod in chosen if pod.docker), live, options.timeout_s, left)
        found = await pod_checks(fleet)
        return checks + (await fixing.run(fleet, config, found) if fixing else found)


def _text(checks: Sequence[Check]) -> str:
    """One line for each, under its subject; the cure of a fault on a line of its own."""
    lines: list[str] = []
    for number, check in enumerate(checks):
        if number == 0 or check.subject != checks[number - 1].subject:
            lines += ([""] if number else []) + [clean(check.subject)]
        level = click.style(f"{check.level:4}", fg=_COLOURS[check.level]) if use_colour() else f"{check.level:4}"
        lines.append(f"  {level}  {clean(check.what)}: {clean(check.message)}")
        if check.hint:
            lines.append(f"        → {clean(check.hint)}")
    return "\n".join(lines)


def _count(checks: Sequence[Check], level: str) -> str:
    number = sum(check.level == level for check in checks)
    name = {"fail": "fault", "warn": "warning"}[level]
    return f"{number} {name}{'' if number == 1 else 's'}"
