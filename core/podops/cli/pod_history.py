"""`ops pod history`: a pod's figures over time, as this machine remembers them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from podops.cli.context import Options, json_option
from podops.cli.moment import DurationType
from podops.cli.output import duration, iso, print_json, say, size, table
from podops.cli.project_names import complete_pods
from podops.errors import NotFoundError

if TYPE_CHECKING:
    from podops.history.samples import Sample

#: Rows of the table, at most.
_ROWS = 40

_GPU = ("utilization_percent", "memory_used_bytes", "temperature_c", "power_w")


@click.command("history")
@click.argument("name", shell_complete=complete_pods)
@click.option(
    "--since",
    type=DurationType(),
    metavar="TIME",
    default="24h",
    show_default=True,
    help="How far back to go: 90s, 2h, 7d.",
)
@json_option
@click.pass_obj
def pod_history(options: Options, name: str, since: float) -> int:
    """A pod's processor, memory and GPUs over time.

    Tells what this machine remembers, and asks no pod.
    """
    from podops.history.keep import history_of
    from podops.history.samples import merged

    config = options.project(name)
    if name not in config.pods:
        raise NotFoundError(f"there is no pod {name!r}", "see `ops pod list`")
    history = history_of(config, os.environ, say)
    samples = history.samples(config.pods[name], time.time() - since) if history else []
    if history is not None:
        history.close()
    if options.json:
        print_json({"ok": True, "pod": name, "source": "history", "samples": [_view(sample) for sample in samples]})
    elif not samples:
        click.echo(f"nothing is remembered of pod {name} in the last {duration(since)}")
    else:
        headers = ("TIME", "OVER", "CPU", "MEMORY", "GPUS", "GPU", "GPU MEMORY", "POWER")
        click.echo(table(headers, [_row(sample) for sample in merged(samples, _ROWS)]))
    return 0


def _view(sample: Sample) -> dict[str, Any]:
    figures = sample.figures
    return {
        "time": iso(sample.time),
        "over_s": sample.step,
        "samples": sample.weight,
        "cpu_percent": figures.get("cpu"),
        "memory_used_bytes": figures.get("memory"),
        "gpus": [dict(zip(_GPU, cells, strict=False)) for cells in figures.get("gpus", ())],
    }


def _row(sample: Sample) -> tuple[str, ...]:
    figures, gpus = sample.figures, sample.figures.get("gpus", [])
    busy, memory, _, power = ([cells[at] for cells in gpus if cells[at] is not None] for at in range(4))
    return (
        time.strftime("%m-%d %H:%M:%S", time.localtime(sample.time)),
        duration(sample.step),
        _percent(figures.get("cpu")),
        size(_whole(figures.get("memory"))),
        str(len(gpus)),
        _percent(sum(busy) / len(busy) if busy else None),
        size(_whole(sum(memory) if memory else None)),
        f"{sum(power):.0f} W" if power else "-",
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}%"


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
