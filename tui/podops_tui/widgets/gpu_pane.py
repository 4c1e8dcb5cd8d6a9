"""The GPUs of the selected run's pod; those the run claims are marked."""

from __future__ import annotations

from rich.text import Text

from podops.fleet.snapshot import GpuSample, PodSnapshot, RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import DASH, bar, ratio, size


def gpus(pod: PodSnapshot, run: RunSnapshot | None) -> Text:
    """Three lines for each GPU of `pod`."""
    report = pod.gpus
    text = Text.assemble((clean(pod.name), "bold"))
    if report.simulated:
        text.append("  SIMULATED", "bold yellow")
    elif report.source != "none":
        text.append(f"  {clean(report.source)} {clean(report.driver)}", "dim")
    text.append("\n")
    if pod.state != "live":
        text.append(f"pod is {pod.state}: values are old\n", "yellow")
    if not report.gpus:
        return text.append("no GPU: " + (clean(report.message) or "none reported"), "dim")
    for gpu in report.gpus:
        text.append_text(_gpu(gpu, run))
    return text


def _gpu(gpu: GpuSample, run: RunSnapshot | None) -> Text:
    mine = run is not None and (gpu.claimed_by == run.run_id or (not run.ended and gpu.index in run.gpus))
    text = Text.assemble((f"{'▶' if mine else ' '}{gpu.index} ", "bold green" if mine else ""))
    text.append(clean(gpu.name), "bold" if mine else "")
    owner = "this run" if mine else (gpu.claimed_by or ("free" if gpu.is_free() else "in use"))
    text.append(f"  {clean(owner)}\n", "green" if mine else "dim")
    if gpu.error:
        return text.append(f"   {clean(gpu.error)}\n", "red")
    busy = gpu.utilization_percent
    text.append(f"   {bar(None if busy is None else busy / 100, 6)} {_number(busy, '%'):>4} ")
    text.append(f"{_number(gpu.temperature_c, '°C')} {_number(gpu.power_w, 'W')}\n", "dim")
    memory = ratio(gpu.memory_used_bytes, gpu.memory_total_bytes)
    return text.append(f"   {bar(memory, 6)} {size(gpu.memory_used_bytes)}/{size(gpu.memory_total_bytes)}\n")


def _number(value: float | None, unit: str) -> str:
    return DASH if value is None else f"{value:.0f}{unit}"
