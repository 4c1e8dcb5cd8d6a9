"""`ops status` and `ops pod`: what the fleet looks like now, and ways into a pod."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from podops.cli.context import Options, json_option, open_fleet, run_async
from podops.cli.output import ago, iso, print_json, say, say_hint, size, table
from podops.cli.pod_forward import forward
from podops.cli.pod_history import pod_history
from podops.cli.pod_page import gpu_note, pod_page
from podops.cli.pod_rm import rm
from podops.cli.pod_ssh import ssh
from podops.cli.pod_up import up
from podops.cli.project_names import complete_pods
from podops.cli.run_view import run_rows, run_summary
from podops.cli.source_view import source_view, tell_sources
from podops.errors import UnreachableError

if TYPE_CHECKING:
    from podops.fleet.snapshot import FleetSnapshot, PodSnapshot

#: How long a command waits for figures once a pod is live, seconds.
_SAMPLE_S = 3.0


@click.command()
@json_option
@click.pass_obj
def status(options: Options) -> int:
    """The fleet in one screen: pods, GPUs, runs."""
    fleet = run_async(_snapshot(options, None))
    if options.json:
        told = [run_summary(run, fleet.pods[run.pod].as_of) for run in fleet.runs()]
        print_json({"ok": True, **_pods_view(fleet), "runs": told})
        return 0
    click.echo(_pod_table(fleet))
    tell_sources(fleet, only_problems=True)
    runs = fleet.runs()
    active = [run for run in runs if not run.ended]
    shown = active + [run for run in runs if run.ended][: max(0, 12 - len(active))]
    click.echo("\n" + (run_rows(shown, _ages(fleet)) if shown else "no runs yet: `ops run submit --preset NAME`"))
    if len(shown) < len(runs):
        click.echo(f"… and {len(runs) - len(shown)} more: `ops run list`")
    return 0


@click.group()
def pod() -> None:
    """Pods of the fleet."""


pod.add_command(forward)
pod.add_command(pod_history)
pod.add_command(ssh)
pod.add_command(up)
pod.add_command(rm)


@pod.command("list")
@json_option
@click.pass_obj
def list_pods(options: Options) -> int:
    """Every pod, with its state, GPUs and disk."""
    fleet = run_async(_snapshot(options, None))
    if options.json:
        print_json({"ok": True, **_pods_view(fleet)})
    else:
        click.echo(_pod_table(fleet))
        tell_sources(fleet, only_problems=False)
    return 0


@pod.command("status")
@click.argument("name", shell_complete=complete_pods)
@json_option
@click.pass_obj
def pod_status(options: Options, name: str) -> int:
    """One pod in full: host, disks, each GPU, its runs."""
    found = run_async(_snapshot(options, [name])).pods[name]
    if options.json:
        print_json({"ok": found.state == "live", "pod": pod_view(found)})
        return 0 if found.state == "live" else UnreachableError.exit_code
    if found.state != "live":
        error = UnreachableError(f"pod {name} is {found.state}: {found.reason or 'no answer'}", found.hint)
        if found.as_of is None:
            raise error
        say(f"{error.message}; this is what was known {ago(found.as_of)}")
        say_hint(error.hint)
        click.echo(pod_page(found))
        return error.exit_code
    click.echo(pod_page(found))
    return 0


async def _snapshot(options: Options, pods: list[str] | None) -> FleetSnapshot:
    async with open_fleet(options, pods, fresh=True, lists=pods is None) as fleet:
        await fleet.recall()
        # A CPU share needs two samples.
        await fleet.until(lambda: not any(_unsampled(pod) for pod in fleet.snapshot.pods.values()), _SAMPLE_S)
        return fleet.snapshot


def _ages(fleet: FleetSnapshot) -> dict[tuple[str, str], str]:
    """Of runs that were recalled, how old they are."""
    return {
        (run.project, run.run_id): f"as of {ago(as_of)}"
        for run in fleet.runs()
        if (as_of := fleet.pods[run.pod].as_of) is not None
    }


def _unsampled(pod: PodSnapshot) -> bool:
    return pod.state == "live" and (pod.sample is None or pod.sample.cpu_percent is None)


def pod_view(pod: PodSnapshot) -> dict[str, Any]:
    """A pod as `--json` shows it."""
    return {
        "name": pod.name,
        "pod_source": pod.source or None,
        "state": pod.state,
        "transport": pod.transport,
        "address": pod.address,
        "reason": pod.reason,
        "hint": pod.hint,
        "gpus": [asdict(gpu) for gpu in pod.gpus.gpus],
        "gpu_source": pod.gpus.source,
        "gpu_message": pod.gpus.message,
        "gpu_age_s": pod.gpus.age_s,
        "driver": pod.gpus.driver,
        "cuda": pod.gpus.cuda,
        "host": asdict(pod.host) | {"sample": asdict(pod.sample) if pod.sample else None},
        "disk": [asdict(disk) for disk in pod.sample.disks] if pod.sample else [],
        "last_seen": iso(pod.last_seen),
        "tags": list(pod.tags),
        "price_per_hour": pod.price_per_hour,
        "source": "pod" if pod.as_of is None else "history",
        "as_of": iso(pod.as_of),
        "active_runs": sum(not run.ended for run in pod.runs.values()),
    }


def _pods_view(fleet: FleetSnapshot) -> dict[str, Any]:
    return {
        "pods": [pod_view(pod) for pod in fleet.pods.values()],
        "sources": [source_view(source) for source in fleet.sources],
    }


def _pod_table(fleet: FleetSnapshot) -> str:
    if not fleet.pods:
        return "no pods yet: add one under `pods:` in the project file"
    headers = ("POD", "STATE", "VIA", "GPUS", "CPU", "MEMORY", "DISK FREE", "RUNS", "$/H", "NOTE")
    old = [pod.as_of is not None for pod in fleet.pods.values()]
    return table(headers, [_pod_row(pod) for pod in fleet.pods.values()], state_column=1, dim=old)


def _live_note(pod: PodSnapshot) -> str:
    return pod.unlisted or (pod.sample.root_fault if pod.sample else "") or gpu_note(pod)


def _pod_row(pod: PodSnapshot) -> tuple[str, ...]:
    sample, gpus = pod.sample, pod.gpus.gpus
    busy = sum(not gpu.is_free() for gpu in gpus)
    note = pod.reason if pod.state != "live" else _live_note(pod)
    if pod.state != "live" and pod.last_seen is not None:
        seen = f"last seen {ago(pod.last_seen)}"
        note = f"{note} ({seen})" if note else seen
    memory = disk = "-"
    if sample and sample.memory_total_bytes:
        memory = f"{size(sample.memory_used_bytes)}/{size(sample.memory_total_bytes)}"
    if sample and sample.disks:
        last = sample.disks[-1]
        disk = "-" if last.error else size(last.total_bytes - last.used_bytes)
    return (
        pod.name,
        pod.state,
        pod.transport,
        f"{busy}/{len(gpus)} busy" if gpus else "none" if pod.state == "live" else "-",
        f"{sample.cpu_percent:.0f}%" if sample and sample.cpu_percent is not None else "-",
        memory,
        disk,
        str(sum(not run.ended for run in pod.runs.values())),
        f"{pod.price_per_hour:g}" if pod.price_per_hour is not None else "-",
        note,
    )
