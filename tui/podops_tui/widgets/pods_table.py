"""The pods, one line each; one that is not live says why and what to do."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text

from podops.fleet.snapshot import GpuReport, HostSample, PodSnapshot
from podops_runners.states import ACTIVE
from podops_tui.ansi import clean
from podops_tui.format import age, bar, percent, ratio
from podops_tui.widgets.row_list import RowList, cell

_MARKS = {
    "live": ("●", "green"),
    "connecting": ("◌", "cyan"),
    "stale": ("◑", "yellow"),
    "unreachable": ("✗", "red"),
    "refused": ("⊘", "red"),
    "gone": ("–", "magenta"),
}


#: A pod whose answers take this long is shown to be slow, seconds.
SLOW_S = 0.5

#: From this width on what waits has a column of its own, loads have bars, and the host is named.
_WIDE = 110

#: Cells of a bar.
_BAR = 6

#: What a row takes without loads of GPUs: with all columns but the host's name, slow answers among them, and where
#: there is little room. Those loads take so much, as figures alone.
_BESIDE_WIDE, _BESIDE, _GPU_FIGURES = 118, 77, 22

#: What the bars of two loads take.
_TWO_BARS = 2 * (_BAR + 1)


class PodsTable(RowList[PodSnapshot]):
    BORDER_TITLE: ClassVar[str] = "1 Pods"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.empty = "no pods yet: add one under `pods:` in the project file"
        # The longest name of a host that is shown, and whether any pod has GPUs.
        self._beside = (0, False)

    def show(self, items: list[PodSnapshot]) -> None:
        longest = max((len(_host(pod)) for pod in items if pod.state == "live"), default=0)
        self._beside = (longest, any(pod.gpus.gpus for pod in items))
        super().show(items)

    def look(self) -> object:
        return self._beside

    def _bars(self, width: int) -> tuple[int, int | None]:
        """How long the bars of a pod's loads are, and those of its GPUs; `None` where these have no room at all."""
        longest, any_gpus = self._beside
        bars = _BAR if width >= _WIDE else 0
        room = width - (_BESIDE_WIDE + longest if bars else _BESIDE) - _GPU_FIGURES
        if not any_gpus or room + (_TWO_BARS if bars else 0) < 0:
            return bars, None
        if room < 0:
            # Two figures more tell more than the bars of two that stand there anyway.
            return 0, 0
        return bars, _BAR if bars and room >= _TWO_BARS else 0

    def key_of(self, item: PodSnapshot) -> object:
        return item.name

    def tell_hidden(self, rows: int) -> None:
        """Where not all pods fit into `rows` lines, say how many there are, and how many of them are in trouble."""
        title = self.BORDER_TITLE
        if len(self.items) > rows:
            title += f" {len(self.items)}"
            trouble = sum(pod.state not in ("live", "connecting") for pod in self.items)
            title += f" · {trouble} not live" if trouble else ""
        # To set the same again would draw the whole table anew.
        if title != self.border_title:
            self.border_title = title

    def line_of(self, item: PodSnapshot | None, width: int) -> Text:
        if item is None:
            row = Text.assemble(cell("POD", 14), cell("STATE", 13), Text("GPUS / WHY"))
        else:
            mark, colour = _MARKS.get(item.state, ("·", "white"))
            live = item.state == "live"
            row = Text.assemble(cell(clean(item.name), 14), cell(f"{mark} {item.state}", 13, colour))
            row.append_text(_facts(item, width >= _WIDE, *self._bars(width)) if live else _trouble(item))
            if not live:
                row.stylize("dim")
        return row


def _facts(pod: PodSnapshot, wide: bool, bars: int, gpu_bars: int | None) -> Text:
    active = sum(run.state in ACTIVE for run in pod.runs.values())
    waiting = sum(run.waiting for run in pod.runs.values())
    text = Text(f"{_gpus(pod):<18} {active:>2} active  ")
    if waiting or wide:
        text.append_text(cell(f"{waiting} waiting" if waiting else "", 11, "cyan"))
    slow = pod.latency_s is not None and pod.latency_s >= SLOW_S
    if fault := pod.unlisted or (pod.sample.root_fault if pod.sample is not None else ""):
        text.append(f"{clean(fault)}  ", "red")
    elif wide or not (slow or waiting):
        if gpu_bars is not None:
            text.append(_gpu_load(pod.gpus, gpu_bars), "dim" if pod.gpus.age_s > 0 else "")
        if pod.sample is not None:
            text.append(_load(pod.sample, bars))
    if slow:
        text.append(f"slow: {pod.latency_s:.1f} s  ", "yellow")
    if wide:
        text.append(_host(pod), "dim")
    # Blanks that have no room would be told as something that is cut.
    text.rstrip()
    return text


def _host(pod: PodSnapshot) -> str:
    return clean(pod.host.hostname or pod.address)


def _load(sample: HostSample, bars: int) -> str:
    """How busy processor and memory are."""
    cpu = None if sample.cpu_percent is None else sample.cpu_percent / 100
    return _told(("cpu", "mem"), (cpu, ratio(sample.memory_used_bytes, sample.memory_total_bytes)), bars)


def _gpu_load(report: GpuReport, bars: int) -> str:
    """How busy the GPUs are, and how full all of their memory is; blank for a pod that has none."""
    busy = [gpu.utilization_percent for gpu in report.gpus if gpu.utilization_percent is not None]
    memory = [
        (gpu.memory_used_bytes, gpu.memory_total_bytes)
        for gpu in report.gpus
        if gpu.memory_used_bytes is not None and gpu.memory_total_bytes
    ]
    vram = ratio(sum(used for used, _ in memory), sum(total for _, total in memory))
    told = _told(("util", "vram"), (sum(busy) / len(busy) / 100 if busy else None, vram), bars)
    return told if report.gpus else " " * len(told)


def _told(names: tuple[str, ...], loads: tuple[float | None, ...], bars: int) -> str:
    """The loads with their names, and with bars of so many cells if there is room for any."""
    return "".join(
        f"{name} {bar(load, bars) + ' ' if bars else ''}{percent(load):>4}  "
        for name, load in zip(names, loads, strict=True)
    )


def _gpus(pod: PodSnapshot) -> str:
    if not pod.gpus.gpus:
        return "no GPU"
    free = sum(gpu.is_free() for gpu in pod.gpus.gpus)
    return f"{free}/{len(pod.gpus.gpus)} free" + (" SIMULATED" if pod.gpus.simulated else "")


def _trouble(pod: PodSnapshot) -> Text:
    """What is short comes first: a narrow screen cuts the rest, and the pod's own screen has it in full."""
    now = time.time()
    parts = [] if pod.retry_at is None else [f"retry in {age(pod.retry_at - now)}"]
    if pod.reason:
        parts.append(clean(pod.reason))
    if pod.hint:
        parts.append(clean(pod.hint))
    if pod.state == "refused":
        parts.append("then press R")
    seen = pod.last_seen
    parts.append("never seen" if seen is None else f"seen {age(now - seen)} ago")
    return Text(" · ".join(parts))
