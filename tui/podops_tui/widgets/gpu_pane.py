"""The GPUs of a pod; those the selected run claims or uses are marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text
from textual.geometry import Size

from podops.fleet.snapshot import GpuProcess, GpuSample, PodSnapshot, RunSnapshot
from podops_tui.ansi import clean
from podops_tui.format import DASH, age, bar, ratio, size

#: More processes of one card are only counted.
_MOST_PROCESSES = 12

_GIB = 1024**3

#: Less of a run's name, and the blanks before it, says nothing.
_LEAST_OF_OWNER = 8

#: What marks a reason for low clocks as one to act on; a power cap, say, is what full load looks like.
_ALARMS = ("slowdown", "brake", "reliability")


def gpus(pod: PodSnapshot, run: RunSnapshot | None, *, full: bool = False, room: Size | None = None) -> Text:
    """Three lines for each GPU of `pod`, or one where `room` has no lines for so many.

    With `full` also clocks, errors, bus, MIG instances and processes.
    """
    report = pod.gpus
    head = _head(pod)
    if not report.gpus:
        no_gpu = Text("no GPU: " + (clean(report.message) or "none reported"), "dim")
        return _below_each_other([*head, no_gpu])
    if report.message:
        head.append(Text(clean(report.message), "yellow"))
    cards = [_gpu(gpu, run) for gpu in report.gpus]
    if room is not None and len(head) + sum(map(_lines, cards)) > room.height:
        one = Text("  ").join(head)
        head = [one] if one.cell_len <= room.width else head
        return _below_each_other([*head, *(_gpu_line(gpu, run, room.width) for gpu in report.gpus)])
    text = _below_each_other(head).append("\n")
    for gpu, card in zip(report.gpus, cards, strict=True):
        text.append_text(card)
        if full:
            for line, style in _details(gpu):
                text.append(f"   {line}\n", style)
    return text


def _head(pod: PodSnapshot) -> list[Text]:
    """Whose GPUs they are, who told of them, and whether that is old."""
    report = pod.gpus
    first = Text.assemble((clean(pod.name), "bold"))
    if report.simulated:
        first.append("  SIMULATED", "bold yellow")
    elif report.source != "none":
        first.append(f"  {clean(report.source)} {clean(report.driver)}", "dim")
    if pod.state != "live":
        return [first, Text(f"pod is {pod.state}: values are old", "yellow")]
    if report.age_s > 0:
        return [first, Text(f"values are {age(report.age_s)} old: the driver does not answer in time", "yellow")]
    return [first]


def _below_each_other(lines: Sequence[Text]) -> Text:
    return Text("\n").join(lines)


def _lines(text: Text) -> int:
    return text.plain.count("\n")


def _gpu(gpu: GpuSample, run: RunSnapshot | None) -> Text:
    mine = _is_of(gpu, run)
    text = _number_of(gpu, mine)
    text.append(clean(gpu.name), "bold" if mine else "")
    owner = "this run" if mine else _owner(gpu)
    text.append(f"  {clean(owner)}\n", "green" if mine else "dim")
    if gpu.error:
        text.append(f"   {clean(gpu.error)}\n", "red")
    busy = gpu.utilization_percent
    text.append(f"   {bar(None if busy is None else busy / 100, 6)} {_number(busy, '%'):>4} ")
    text.append_text(_heat(gpu))
    text.append(f" {_number(gpu.power_w, 'W')}", "dim")
    text.append(_alarms(gpu) + "\n", "yellow")
    memory = ratio(gpu.memory_used_bytes, gpu.memory_total_bytes)
    return text.append(f"   {bar(memory, 6)} {size(gpu.memory_used_bytes)}/{size(gpu.memory_total_bytes)}\n")


def _gpu_line(gpu: GpuSample, run: RunSnapshot | None, width: int) -> Text:
    """What the three lines tell but the card's name; of what matters less so much as fits whole."""
    mine = _is_of(gpu, run)
    text = _number_of(gpu, mine)
    if gpu.error:
        text.append(f"{clean(gpu.error)}  ", "red")
    busy = gpu.utilization_percent
    text.append(f"{bar(None if busy is None else busy / 100, 4)} {_number(busy, '%'):>4} {_of_memory(gpu):>11}")
    power = Text(f" {_number(gpu.power_w, 'W'):>5}", "dim")
    for part in (_heat(gpu, 7), power, Text(_alarms(gpu), "yellow")):
        if text.cell_len + part.cell_len <= width:
            text.append_text(part)
    if width - text.cell_len >= _LEAST_OF_OWNER:
        text.append(f"  {'this run' if mine else clean(_owner(gpu))}", "green" if mine else "dim")
    text.truncate(width, overflow="ellipsis")
    return text


def _is_of(gpu: GpuSample, run: RunSnapshot | None) -> bool:
    return run is not None and (
        run.run_id in (gpu.claimed_by, *gpu.used_by) or (not run.ended and gpu.index in run.gpus)
    )


def _number_of(gpu: GpuSample, mine: bool) -> Text:
    return Text.assemble((f"{'▶' if mine else ' '}{gpu.index} ", "bold green" if mine else ""))


def _heat(gpu: GpuSample, width: int = 0) -> Text:
    limit = gpu.temperature_limit_c
    hot = limit is not None and (gpu.temperature_c or 0.0) >= limit
    return Text(_number(gpu.temperature_c, "°C").rjust(width), "red" if hot else "dim")


def _alarms(gpu: GpuSample) -> str:
    alarms = [clean(reason) for reason in gpu.clock_reasons if any(word in reason for word in _ALARMS)]
    return "".join(f" {alarm}" for alarm in alarms)


def _of_memory(gpu: GpuSample) -> str:
    """`55/80 GiB`."""
    used, total = (
        DASH if count is None else f"{count / _GIB:.0f}" for count in (gpu.memory_used_bytes, gpu.memory_total_bytes)
    )
    return f"{used}/{total} GiB"


def _owner(gpu: GpuSample) -> str:
    if gpu.claimed_by or gpu.used_by:
        return gpu.claimed_by or ", ".join(gpu.used_by)
    return "free" if gpu.is_free() else "in use"


def _details(gpu: GpuSample) -> Iterator[tuple[str, str]]:
    """Lines and their styles; what a card does not tell has none."""
    if gpu.clock_sm_mhz is not None:
        clocks = f"sm {_of(gpu.clock_sm_mhz, gpu.clock_sm_max_mhz)} MHz"
        if gpu.clock_memory_mhz is not None:
            clocks += f"  memory {_of(gpu.clock_memory_mhz, gpu.clock_memory_max_mhz)} MHz"
        clocks += f"  {clean(', '.join(gpu.clock_reasons))}" if gpu.clock_reasons else ""
        yield clocks, "dim"
    if gpu.pcie_generation is not None and gpu.pcie_width is not None:
        slower = (gpu.pcie_width_max or 0) > gpu.pcie_width
        most = f" of x{gpu.pcie_width_max}" if slower else ""
        rates = f"  in {size(gpu.pcie_rx_bytes_per_s)}/s out {size(gpu.pcie_tx_bytes_per_s)}/s"
        yield f"pcie gen {gpu.pcie_generation} x{gpu.pcie_width}{most}{rates}", "yellow" if slower else "dim"
    if gpu.ecc_volatile or gpu.ecc_aggregate:
        yield f"uncorrected memory errors: {gpu.ecc_volatile or 0} since boot, {gpu.ecc_aggregate or 0} in all", "red"
    for part in gpu.instances:
        used = f"{size(part.memory_used_bytes)}/{size(part.memory_total_bytes)}"
        yield f"mig {part.index} {clean(part.name)}  {used}", ""
    for process in gpu.processes[:_MOST_PROCESSES]:
        yield _process(process), ""
    if len(gpu.processes) > _MOST_PROCESSES:
        yield f"and {len(gpu.processes) - _MOST_PROCESSES} processes more", "dim"
    for field, why in gpu.cell_errors.items():
        yield f"{clean(field)}: {clean(why)}", "dim"


def _process(process: GpuProcess) -> str:
    whose = f"  {clean(process.run_id)}" if process.run_id else ""
    return f"pid {process.pid}  {size(process.memory_bytes)}  {clean(process.name)}{whose}"


def _of(now: int, most: int | None) -> str:
    return str(now) if most is None else f"{now}/{most}"


def _number(value: float | None, unit: str) -> str:
    return DASH if value is None else f"{value:.0f}{unit}"
