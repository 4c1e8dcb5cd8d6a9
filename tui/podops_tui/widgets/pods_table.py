"""The pods, one line each; one that is not live says why and what to do."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text

from podops.fleet.snapshot import HostSample, PodSnapshot
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


class PodsTable(RowList[PodSnapshot]):
    BORDER_TITLE: ClassVar[str] = "1 Pods"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.empty = "no pods yet: add one under `pods:` in the project file"

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
            row.append_text(_facts(item, width >= _WIDE) if live else _trouble(item))
            if not live:
                row.stylize("dim")
        return row


def _facts(pod: PodSnapshot, wide: bool) -> Text:
    active = sum(run.state in ACTIVE for run in pod.runs.values())
    waiting = sum(run.waiting for run in pod.runs.values())
    text = Text(f"{_gpus(pod):<17} {active:>2} active  ")
    if waiting or wide:
        text.append_text(cell(f"{waiting} waiting" if waiting else "", 11, "cyan"))
    slow = pod.latency_s is not None and pod.latency_s >= SLOW_S
    if fault := pod.unlisted or (pod.sample.root_fault if pod.sample is not None else ""):
        text.append(f"{clean(fault)}  ", "red")
    elif pod.sample is not None and (wide or not (slow or waiting)):
        text.append(_load(pod.sample, wide))
    if slow:
        text.append(f"slow: {pod.latency_s:.1f} s  ", "yellow")
    if wide:
        text.append(clean(pod.host.hostname or pod.address), "dim")
    return text


def _load(sample: HostSample, wide: bool) -> str:
    """How busy processor and memory are; where there is no room for bars, the figures alone."""
    cpu = None if sample.cpu_percent is None else sample.cpu_percent / 100
    memory = ratio(sample.memory_used_bytes, sample.memory_total_bytes)
    told = (
        (name, bar(value, 6) + " " if wide else "", percent(value)) for name, value in (("cpu", cpu), ("mem", memory))
    )
    return "".join(f"{name} {drawn}{figure:>4}  " for name, drawn, figure in told)


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
