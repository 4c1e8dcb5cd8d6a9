"""One pod in full, as `ops pod status` prints it: host, disks, each GPU, its runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from podops.cli.output import clean, duration, size

if TYPE_CHECKING:
    from podops.fleet.snapshot import DiskUsage, GpuSample, HostSample, PodSnapshot

#: Names that stand in front of a line, and the room they take.
_ROOM = 9

#: Runs shown.
_RUNS = 20


def pod_page(pod: PodSnapshot) -> str:
    return "\n".join(clean(line) for line in _lines(pod))


def gpu_note(pod: PodSnapshot) -> str:
    """What is to be said of a pod's GPUs as a whole; empty when they are as they should be."""
    if pod.gpus.simulated:
        return "GPUs are SIMULATED"
    return pod.gpus.message


def _lines(pod: PodSnapshot) -> Iterator[str]:
    host = pod.host
    yield f"{pod.name}  {pod.state}  {pod.address}"
    yield _row("host", f"{host.hostname} · {host.os} · {host.cpu_count} cores · {host.user}")
    yield _row("tools", f"python {host.python} · tmux {host.tmux or 'missing'}")
    if pod.sample:
        yield from _sample_lines(pod.sample)
    yield _row("latency", "-" if pod.latency_s is None else f"{pod.latency_s * 1000:.1f} ms")
    if pod.gpus.gpus:
        yield _row("driver", _join(pod.gpus.driver, pod.gpus.cuda and f"CUDA {pod.gpus.cuda}", f"by {pod.gpus.source}"))
    if note := gpu_note(pod):
        yield _row("gpus", note)
    for gpu in pod.gpus.gpus:
        yield from _gpu_lines(gpu)
    for run in sorted(pod.runs.values(), key=lambda run: run.created_at or 0.0, reverse=True)[:_RUNS]:
        yield _row("run", f"{run.run_id}  {run.state}  {duration(run.elapsed_s)}")


def _sample_lines(sample: HostSample) -> Iterator[str]:
    load = "-" if sample.load1 is None else f"{sample.load1:.2f}"
    cores = "" if sample.cpu_cores is None else f" of {sample.cpu_cores:g} cores"
    yield _row("cpu", f"{_number(sample.cpu_percent, '%')}{cores} · load {load}")
    scope = " (this container's limit)" if sample.memory_scope == "container" else ""
    yield _row("memory", f"{size(sample.memory_used_bytes)} of {size(sample.memory_total_bytes)}{scope}")
    received, sent = sample.network_received_bytes_per_s, sample.network_sent_bytes_per_s
    yield _row("network", f"in {_rate(received)} · out {_rate(sent)}")
    for disk in sample.disks:
        yield _row("disk", f"{disk.path}: {_disk(disk)}")


def _disk(disk: DiskUsage) -> str:
    if disk.error:
        return disk.error
    free = f"{size(disk.total_bytes - disk.used_bytes)} free of {size(disk.total_bytes)}"
    return free + (" · READ-ONLY" if disk.read_only else "")


def _gpu_lines(gpu: GpuSample) -> Iterator[str]:
    memory = f"{size(gpu.memory_used_bytes)} of {size(gpu.memory_total_bytes)}"
    power = f"{_number(gpu.power_w, '')} of {_number(gpu.power_limit_w, ' W')}"
    heat = _number(gpu.temperature_c, " °C")
    yield _row(
        f"gpu {gpu.index}", _join(gpu.name, _number(gpu.utilization_percent, "%"), memory, heat, power, _owner(gpu))
    )
    if gpu.error:
        yield _row("", gpu.error)
    if gpu.clock_sm_mhz is not None or gpu.pcie_width is not None:
        yield _row(
            "", _join(_clocks(gpu), _pcie(gpu), _ecc(gpu), gpu.fan_percent is not None and f"fan {gpu.fan_percent}%")
        )
    for instance in gpu.instances:
        memory = f"{size(instance.memory_used_bytes)} of {size(instance.memory_total_bytes)}"
        yield _row("", _join(instance.name or "MIG", memory, instance.uuid))
    for process in gpu.processes:
        name = process.name or ("not a process of this pod" if not process.known else "")
        yield _row("", _join(f"pid {process.pid}", name, size(process.memory_bytes), process.run_id))
    for cell, why in gpu.cell_errors.items():
        if why != gpu.error:
            yield _row("", f"{cell}: {why}")


def _owner(gpu: GpuSample) -> str:
    users = ", ".join(gpu.used_by)
    if gpu.claimed_by and gpu.used_by and gpu.claimed_by not in gpu.used_by:
        return f"claimed by {gpu.claimed_by}, but used by {users}"
    if gpu.attributed == "process":
        return f"used by {users}"
    if gpu.claimed_by:
        return f"claimed by {gpu.claimed_by}" + (", in use" if gpu.attributed == "claim" else "")
    return "free" if gpu.is_free() else "" if gpu.error else "in use"


def _clocks(gpu: GpuSample) -> str:
    reasons = ", ".join(gpu.clock_reasons)
    return f"sm {gpu.clock_sm_mhz or '-'} of {gpu.clock_sm_max_mhz or '-'} MHz" + (f" ({reasons})" if reasons else "")


def _pcie(gpu: GpuSample) -> str:
    if gpu.pcie_generation is None and gpu.pcie_width is None:
        return ""
    best = f"{gpu.pcie_generation_max or '?'}x{gpu.pcie_width_max or '?'}"
    link = f"{gpu.pcie_generation or '?'}x{gpu.pcie_width or '?'}"
    traffic = f" in {_rate(gpu.pcie_rx_bytes_per_s)} out {_rate(gpu.pcie_tx_bytes_per_s)}"
    return (
        f"PCIe {link}"
        + (f" of {best}" if best != link else "")
        + (traffic if gpu.pcie_rx_bytes_per_s is not None else "")
    )


def _ecc(gpu: GpuSample) -> str:
    if gpu.ecc_volatile is None and gpu.ecc_aggregate is None:
        return ""
    return f"ECC uncorrected {_number(gpu.ecc_volatile, '')} now, {_number(gpu.ecc_aggregate, '')} ever"


def _row(name: str, text: str) -> str:
    return name.ljust(_ROOM) + text


def _join(*parts: str | bool | None) -> str:
    return " · ".join(part for part in parts if isinstance(part, str) and part)


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.0f}{unit}"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{size(round(value))}/s"
