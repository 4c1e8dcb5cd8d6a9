"""One pod on the whole screen: its runs, its GPUs, its host and disks."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer

from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot, SourceSnapshot
from podops_tui.ansi import clean
from podops_tui.format import age, bar, percent, ratio, size
from podops_tui.live_screen import LiveScreen
from podops_tui.widgets.gpu_pane import gpus
from podops_tui.widgets.runs_table import RunsTable, run_key
from podops_tui.widgets.source_lines import source_text
from podops_tui.widgets.text_pane import TextPane


class PodScreen(LiveScreen):
    CSS = """
    PodScreen RunsTable { height: 1fr; min-height: 5; border: round $surface-lighten-2; }
    PodScreen RunsTable:focus { border: round $accent; }
    PodScreen #facts { height: 1fr; }
    PodScreen #gpu, PodScreen #host { width: 1fr; height: 1fr; }
    PodScreen.narrow #facts { layout: vertical; height: 2fr; }
    """
    PANES: ClassVar[tuple[str, ...]] = ("runs", "gpu", "host")

    def __init__(self, pod: str) -> None:
        super().__init__()
        self._pod = pod

    def compose(self) -> ComposeResult:
        with Vertical():
            yield RunsTable(id="runs", number=1)
            with Horizontal(id="facts"):
                yield TextPane(id="gpu", title="2 nvidia-smi")
                yield TextPane(id="host", title="3 Host")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(RunsTable).focus()
        self.show_snapshot(self.ops.snapshot)

    def on_resize(self) -> None:
        self.set_class(self.size.width < 100, "narrow")

    def show_snapshot(self, snapshot: FleetSnapshot) -> None:
        pod = snapshot.pods.get(self._pod)
        if pod is None:
            return
        runs = [run for run in snapshot.runs() if run.pod == self._pod]
        self.query_one(RunsTable).show_runs(runs, snapshot.pods)
        self.query_one("#gpu", TextPane).show(gpus(pod, self.selected_run, full=True))
        source = next((one for one in snapshot.sources if one.name == pod.source), None)
        self.query_one("#host", TextPane).show(host_text(pod, time.time(), source))

    @property
    def selected_run(self) -> RunSnapshot | None:
        return self.query_one(RunsTable).selected

    @property
    def selected_pod(self) -> PodSnapshot | None:
        return self.ops.snapshot.pods.get(self._pod)

    @property
    def chosen_runs(self) -> list[RunSnapshot]:
        table = self.query_one(RunsTable)
        return [run for run in table.items if run_key(run) in table.marked] or super().chosen_runs

    def go_to(self, pane: str) -> None:
        self.query_one(f"#{pane}").focus()

    def op_back(self) -> None:
        self.app.pop_screen()

    def op_mark(self) -> None:
        self.query_one(RunsTable).mark()
        self.show_snapshot(self.ops.snapshot)

    def op_sort(self) -> None:
        self.query_one(RunsTable).next_sort()
        self.show_snapshot(self.ops.snapshot)

    def op_gpu(self) -> None:
        self.go_to("gpu")


def host_text(pod: PodSnapshot, now: float, source: SourceSnapshot | None = None) -> Text:
    """What is known about a pod's machine; `now` is Unix time, `source` what tells of the pod."""
    text = _state_text(pod, now, source)
    host, sample = pod.host, pod.sample
    rows = {
        "address": pod.address,
        "host": host.hostname,
        "system": host.os,
        "cores": _cores(pod),
        "user": host.user,
        "python": host.python,
        "tmux": host.tmux or ("missing" if host.hostname else ""),
        "latency": "" if pod.latency_s is None else f"{pod.latency_s * 1000:.1f} ms",
        "price": "" if pod.price_per_hour is None else f"{pod.price_per_hour:g} $/h",
        "tags": ", ".join(pod.tags),
        "source": "" if source is None or source.problem else f"{source.name}: {source_text(source, now)}",
    }
    for name, value in rows.items():
        if value:
            text.append(f"{name:<9}", "dim").append(clean(value) + "\n")
    if sample is not None:
        cpu = None if sample.cpu_percent is None else sample.cpu_percent / 100
        load = "" if sample.load1 is None else f"  load {sample.load1:.2f}"
        text.append("cpu      ", "dim").append(f"{bar(cpu, 12)} {percent(cpu)}{load}\n")
        _usage(text, "memory", sample.memory_used_bytes, sample.memory_total_bytes)
        for disk in sample.disks:
            _usage(text, "disk", disk.used_bytes, disk.total_bytes, clean(disk.path))
            if disk.error or disk.read_only:
                text.append(f"         {clean(disk.error) or 'read-only'}\n", "red")
        if sample.network_received_bytes_per_s is not None:
            rates = (size(sample.network_received_bytes_per_s), size(sample.network_sent_bytes_per_s))
            text.append("network  ", "dim").append(f"in {rates[0]}/s  out {rates[1]}/s\n")
    return text


def _state_text(pod: PodSnapshot, now: float, source: SourceSnapshot | None) -> Text:
    """A pod's state, why it is so, what to do and what comes next."""
    text = Text.assemble(
        (clean(pod.name), "bold"), f"  {pod.state}" + (f" for {age(now - pod.since)}\n" if pod.since else "\n")
    )
    if pod.reason:
        text.append(clean(pod.reason) + "\n", "yellow")
    if pod.hint:
        text.append(clean(pod.hint) + "\n")
    if pod.retry_at is not None:
        text.append(f"retry in {age(pod.retry_at - now)}; R tries at once\n")
    elif pod.state == "refused":
        text.append("not tried again by itself: press R when that is mended\n")
    if source is not None and source.problem:
        text.append(f"source {clean(source.name)}: {source_text(source, now)}\n", "yellow")
    if pod.state != "live":
        seen = "never" if pod.last_seen is None else f"{age(now - pod.last_seen)} ago"
        text.append(f"last seen {seen}; what follows is as old\n", "yellow")
    return text


def _cores(pod: PodSnapshot) -> str:
    """The cores of the machine, and those this pod may use where it is a container."""
    count, mine = pod.host.cpu_count, None if pod.sample is None else pod.sample.cpu_cores
    if mine is None or abs(mine - count) < 0.01:
        return str(count or "")
    return f"{mine:g} of {count}"


def _usage(text: Text, name: str, used: int | None, total: int | None, of: str = "") -> None:
    text.append(f"{name:<9}", "dim").append(f"{bar(ratio(used, total), 12)} {size(used)} of {size(total)}  {of}\n")
